//! Lists of targets, and cycles over them.

use std::sync::Arc;

/// A list of targets, as scamper knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct List {
    /// Its number within the file, from 1.
    pub number: u32,
    /// Its number for people.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// The vantage point.
    pub monitor: Option<String>,
}

/// One pass over a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cycle {
    /// Its number within the file, from 1.
    pub number: u32,
    /// The list.
    pub list: Arc<List>,
    /// Its number for people.
    pub id: u32,
    /// When it began, in seconds since 1970.
    pub start: u32,
    /// When it ended, if the file says so where it begins.
    pub stop: Option<u32>,
    /// The host that probes.
    pub hostname: Option<String>,
}
