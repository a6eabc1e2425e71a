//! The words of a text: runs of letters and digits, compared in lower case without accents.

use std::ops::Range;

use unicode_normalization::char::decompose_compatible;

/// A word of a text.
pub(super) struct Word {
    /// In lower case without accents.
    pub folded: String,
    /// The bytes that it takes in the text.
    pub place: Range<usize>,
}

/// The words of a text, in order.
pub(super) fn words(text: &str) -> impl Iterator<Item = Word> {
    let mut chars = text.char_indices().peekable();
    std::iter::from_fn(move || {
        while chars.next_if(|(_, c)| !c.is_alphanumeric()).is_some() {}
        let start = chars.peek()?.0;
        let (mut folded, mut end) = (String::new(), start);
        while let Some((at, c)) = chars.next_if(|(_, c)| c.is_alphanumeric() || is_mark(*c)) {
            end = at + c.len_utf8();
            decompose_compatible(c, |part| {
                if !is_mark(part) {
                    folded.extend(part.to_lowercase());
                }
            });
        }
        Some(Word {
            folded,
            place: start..end,
        })
    })
}

/// Marks that stand above and below letters.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}
