//! base64url as RFC 7515 section 2 writes it: one text for each bytes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// None where a byte is outside the alphabet, white space and padding included, or where bits that say
/// nothing are set: a second spelling of one token would pass a list of revoked ones.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_spelling() {
        assert_eq!(decode(b"YQ").as_deref(), Some(&b"a"[..]));
        for text in ["YQ==", "YQ=", "YR", "Y Q", "YQ\n", "Y", "+_8", "/_8", "Y\0"] {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_so(text in "[A-Za-z0-9_=+/-]{0,12}") {
            if let Some(bytes) = decode(text.as_bytes()) {
                prop_assert_eq!(URL_SAFE_NO_PAD.encode(bytes), text);
            }
        }
    }
}
