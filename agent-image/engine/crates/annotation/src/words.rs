//! Texts that are kept once, however many addresses have them.

use std::collections::HashMap;

/// The place of a text among [`Words`].
pub type Word = u32;

/// Distinct texts.
#[derive(Clone, Debug, Default)]
pub struct Words {
    texts: Vec<String>,
    places: HashMap<String, Word>,
}

impl Words {
    /// Returns the place of a text without the spaces around it, or None if nothing is left.
    pub fn keep(&mut self, text: &str) -> Option<Word> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        if let Some(place) = self.places.get(text) {
            return Some(*place);
        }
        // A file has fewer bytes than words have places.
        let place = self.texts.len() as Word;
        self.texts.push(text.to_owned());
        self.places.insert(text.to_owned(), place);
        Some(place)
    }

    /// Returns the text at a place.
    #[must_use]
    pub fn text(&self, word: Word) -> &str {
        &self.texts[word as usize]
    }

    /// Returns all texts, by their places.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }
}
