//! Private keys as openssl writes them: PKCS#8 (RFC 5958), SEC1 (RFC 5915) and PKCS#1 (RFC 8017 appendix A.1.2), in
//! PEM (RFC 7468).

use super::rsa::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// An RSA key of 3072 bits has 2,500 bytes.
const MAX_BYTES: usize = 16 * 1024;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// `[0]`, of an ECPrivateKey: its curve.
const PARAMETERS: u8 = 0xa0;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

const UNREADABLE: &str = "holds a private key that cannot be read";
const ENCRYPTED: &str = "holds a private key that is encrypted: take its password off";
const OTHER_KIND: &str = "holds a private key that is neither RSA nor P-256";

pub enum Private {
    /// Big-endian.
    P256 { secret: Vec<u8> },
    /// PKCS#1, for [`rsa_parts`].
    Rsa(Vec<u8>),
}

/// Exactly one private key; what openssl writes beside it, such as EC PARAMETERS, is passed over. An error says
/// nothing of the text.
pub fn read(text: &str) -> Result<Private, &'static str> {
    if text.len() > MAX_BYTES {
        return Err("holds more than a private key");
    }
    let mut blocks = text.split("-----BEGIN ").skip(1).filter_map(|block| {
        let (label, rest) = block.split_once("-----")?;
        label.ends_with("PRIVATE KEY").then_some((label, rest))
    });
    let (label, rest) = blocks.next().ok_or("holds no private key in PEM")?;
    if blocks.next().is_some() {
        return Err("holds several private keys: each has a variable of its own");
    }
    let (body, _) = rest.split_once("-----END ").ok_or(UNREADABLE)?;
    if label.starts_with("ENCRYPTED") || body.contains("ENCRYPTED") {
        return Err(ENCRYPTED);
    }
    // Whoever puts it on one line writes \n or a space for a line's end.
    let mut base64 = body.replace("\\n", "");
    base64.retain(|c| !c.is_ascii_whitespace());
    let der = STANDARD.decode(base64).map_err(|_| UNREADABLE)?;
    match label {
        "PRIVATE KEY" => pkcs8(&der),
        "EC PRIVATE KEY" => sec1(&der, None),
        "RSA PRIVATE KEY" => Ok(Private::Rsa(der)),
        _ => Err(OTHER_KIND),
    }
}

fn pkcs8(der: &[u8]) -> Result<Private, &'static str> {
    let mut info = Der(der).sequence()?;
    info.take(INTEGER)?;
    let mut algorithm = info.sequence()?;
    match algorithm.take(OBJECT_ID)? {
        RSA => Ok(Private::Rsa(info.take(OCTET_STRING)?.to_vec())),
        EC => {
            let curve = algorithm.take(OBJECT_ID)?;
            sec1(info.take(OCTET_STRING)?, Some(curve))
        }
        _ => Err(OTHER_KIND),
    }
}

/// `curve`: named outside already.
fn sec1(der: &[u8], curve: Option<&[u8]>) -> Result<Private, &'static str> {
    let mut key = Der(der).sequence()?;
    key.take(INTEGER)?;
    let secret = key.take(OCTET_STRING)?.to_vec();
    let curve = match curve {
        Some(curve) => curve,
        None => Der(key.take(PARAMETERS)?).take(OBJECT_ID)?,
    };
    match curve {
        P256 => Ok(Private::P256 { secret }),
        _ => Err(OTHER_KIND),
    }
}

pub fn rsa_parts(der: &[u8]) -> Result<Parts<'_>, &'static str> {
    let mut key = Der(der).sequence()?;
    // Version 1 has more than two primes.
    if key.take(INTEGER)? != [0] {
        return Err(OTHER_KIND);
    }
    let mut number = || key.take(INTEGER);
    let (n, e, _d) = (number()?, number()?, number()?);
    Ok(Parts {
        n,
        e,
        p: number()?,
        q: number()?,
        dp: number()?,
        dq: number()?,
        qinv: number()?,
    })
}

/// What is left of a piece of DER (X.690).
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, which has to have that tag.
    fn take(&mut self, tag: u8) -> Result<&'a [u8], &'static str> {
        let (content, rest) = self.next(tag).ok_or(UNREADABLE)?;
        self.0 = rest;
        Ok(content)
    }

    fn sequence(&mut self) -> Result<Self, &'static str> {
        self.take(SEQUENCE).map(Self)
    }

    fn next(&self, tag: u8) -> Option<(&'a [u8], &'a [u8])> {
        let (found, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match *first {
            short @ 0..=0x7f => (usize::from(short), rest),
            // A private key has a length of two bytes at most.
            0x81 | 0x82 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let add = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
                (length.iter().fold(0, add), rest)
            }
            _ => return None,
        };
        (*found == tag).then(|| rest.split_at_checked(length))?
    }
}

/// A key of P-256 as `openssl genpkey` writes it. None where the number is none of a key.
pub fn p256_pem(secret: &[u8; 32]) -> Option<String> {
    const BEFORE: [u8; 36] = [
        0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
        0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20,
    ];
    /// `[1]`, a BIT STRING: the public key.
    const BETWEEN: [u8; 5] = [0xa1, 0x44, 0x03, 0x42, 0x00];
    let key = p256::ecdsa::SigningKey::from_slice(secret).ok()?;
    let point = key.verifying_key().to_encoded_point(false);
    let der = [&BEFORE[..], secret, &BETWEEN, point.as_bytes()].concat();
    let base64 = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for (at, c) in base64.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(c);
    }
    pem.push_str("\n-----END PRIVATE KEY-----\n");
    Some(pem)
}
