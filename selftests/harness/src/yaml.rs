// SPDX-License-Identifier: GPL-2.0-only

//! Reads typed YAML so that every mistake is shown as `file:line:column: what`.

use std::fs;

use camino::Utf8Path;
use serde::de::DeserializeOwned;

use crate::error::{HarnessError, io};

/// Reads and parses a file.
pub(crate) fn load<T: DeserializeOwned>(path: &Utf8Path) -> Result<T, HarnessError> {
    parse(path, &fs::read_to_string(path).map_err(io("read", path))?)
}

/// Parses text that was read from `path`.
pub(crate) fn parse<T: DeserializeOwned>(path: &Utf8Path, text: &str) -> Result<T, HarnessError> {
    serde_yaml::from_str(text).map_err(|error| {
        let message = error.to_string();
        match error.location() {
            Some(at) => {
                // The parser repeats the position at the end; once, and in front where editors look for it, is enough.
                let tail = format!(" at line {} column {}", at.line(), at.column());
                let what = message.strip_suffix(&tail).unwrap_or(&message);
                HarnessError::Data(format!("{path}:{}:{}: {what}", at.line(), at.column()))
            }
            None => HarnessError::Data(format!("{path}: {message}")),
        }
    })
}
