//! The text that the parser reads. Its own reader of a text makes room for 128 bytes in every scalar, and nearly all
//! of a policy's are a few bytes long: a tree of thousands of rules would be mostly room.

use saphyr_parser::input::SkipTabs;
use saphyr_parser::{Input, StrInput};

/// What a scalar is given room for at a time; the parser asks for at least that many.
const ROOM: usize = 16;

pub struct Source<'t>(StrInput<'t>);

impl<'t> Source<'t> {
    pub fn new(text: &'t str) -> Self {
        Self(StrInput::new(text))
    }
}

/// All but the room is its own reader's, of which those are named that are quicker than what the trait does by itself.
impl Input for Source<'_> {
    fn bufmaxlen(&self) -> usize {
        ROOM
    }

    #[inline]
    fn lookahead(&mut self, count: usize) {
        self.0.lookahead(count);
    }

    #[inline]
    fn buflen(&self) -> usize {
        self.0.buflen()
    }

    #[inline]
    fn raw_read_ch(&mut self) -> char {
        self.0.raw_read_ch()
    }

    #[inline]
    fn raw_read_non_breakz_ch(&mut self) -> Option<char> {
        self.0.raw_read_non_breakz_ch()
    }

    #[inline]
    fn skip(&mut self) {
        self.0.skip();
    }

    #[inline]
    fn skip_n(&mut self, count: usize) {
        self.0.skip_n(count);
    }

    #[inline]
    fn peek(&self) -> char {
        self.0.peek()
    }

    #[inline]
    fn peek_nth(&self, n: usize) -> char {
        self.0.peek_nth(n)
    }

    #[inline]
    fn peek_opt(&self) -> Option<char> {
        self.0.peek_opt()
    }

    #[inline]
    fn next_can_be_plain_scalar(&self, in_flow: bool) -> bool {
        self.0.next_can_be_plain_scalar(in_flow)
    }

    #[inline]
    fn next_is_blank_or_breakz(&self) -> bool {
        self.0.next_is_blank_or_breakz()
    }

    #[inline]
    fn next_is_document_indicator(&self) -> bool {
        self.0.next_is_document_indicator()
    }

    #[inline]
    fn next_is_document_start(&self) -> bool {
        self.0.next_is_document_start()
    }

    #[inline]
    fn next_is_document_end(&self) -> bool {
        self.0.next_is_document_end()
    }

    #[inline]
    fn skip_ws_to_eol(&mut self, skip_tabs: SkipTabs) -> (usize, Result<SkipTabs, &'static str>) {
        self.0.skip_ws_to_eol(skip_tabs)
    }

    #[inline]
    fn skip_while_non_breakz(&mut self) -> usize {
        self.0.skip_while_non_breakz()
    }

    #[inline]
    fn skip_while_blank(&mut self) -> usize {
        self.0.skip_while_blank()
    }

    // Places count what these return.
    fn fetch_while_is_alpha(&mut self, out: &mut String) -> usize {
        self.0.fetch_while_is_alpha(out)
    }

    fn fetch_while_is_yaml_non_space(&mut self, out: &mut String) -> usize {
        self.0.fetch_while_is_yaml_non_space(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use saphyr_parser::Parser;

    /// As far as the first error, which would come again and again.
    fn read<T: Input>(parser: Parser<T>) -> Vec<String> {
        let mut read = Vec::new();
        for event in parser {
            read.push(format!("{event:?}"));
            if event.is_err() {
                break;
            }
        }
        read
    }

    #[track_caller]
    fn same(text: &str) {
        assert_eq!(
            read(Parser::new(Source::new(text))),
            read(Parser::new_from_str(text)),
            "{text}"
        );
    }

    #[test]
    fn as_its_own_reader() {
        let long = "x".repeat(1000);
        same(include_str!("../../../tests/config/base.yaml"));
        same(include_str!("../../../envoy/envoy.yaml"));
        same(&format!(
            "a: {long}\nb: '{long}'\nc: \"{long}\\n{long}\"\n{long}: [{long}, {{ {long}: é{long} }}]\n"
        ));
        for indent in 1..40 {
            let spaces = " ".repeat(indent);
            same(&format!(
                "a: |\n{spaces}one\n\n{spaces} two {long}\nb: >-\n{spaces}one\n{spaces}two\n# {long}\nc: one\n{spaces}two\n"
            ));
        }
    }

    proptest! {
        #[test]
        fn of_any_text(text in "[-a-c:,?#&*!|>'\"%@`{}\\[\\] \t\r\né0.~]{0,120}") {
            same(&text);
        }
    }
}
