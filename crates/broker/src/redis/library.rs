//! The function library: Lua in files of its own (`library/`), one noun each, put together with the prefix
//! and the namespaces' rules in front.

use std::fmt::Write;

use tidegate_redis::{Library, LibraryVersion, Prefix};

use crate::history::{HistoryRules, HistorySettings};

/// Grows with every change of the files below, so that newer nodes bring theirs.
const CODE_VERSION: u64 = 3;

/// In the order in which they use each other.
const FILES: [&str; 8] = [
    include_str!("library/arguments.lua"),
    include_str!("library/writer.lua"),
    include_str!("library/top.lua"),
    include_str!("library/envelope.lua"),
    include_str!("library/publish.lua"),
    include_str!("library/begin.lua"),
    include_str!("library/read.lua"),
    include_str!("library/register.lua"),
];

/// The library as a node with these rules would have it.
pub(super) fn library(prefix: &Prefix, history: &HistorySettings) -> Library {
    let name = prefix.as_str();
    let settings = settings(history);
    let revision = history.revision;
    let mut code = format!(
        "#!lua name={name}\n\
         -- Tidegate's functions. Its nodes bring them; what is changed here is lost.\n\
         local PREFIX = '{name}'\n\
         local CODE_VERSION, SETTINGS_REVISION = {CODE_VERSION}, '{revision}'\n\
         local SETTINGS = {settings}\n\
         local EVENT_BYTES = {event_bytes}\n\
         -- Always true; tests switch it off, to show what it is for: a position would name two events.\n\
         local FOLLOWS_LINEAGE = true\n\
         local DEFAULT = {default}\n\
         local NAMESPACES = {{default = DEFAULT}}\n",
        settings = quote(&settings),
        event_bytes = history.max_event_bytes,
        default = rules(&history.default),
    );
    for (namespace, own) in &history.namespaces {
        // Writing to a string cannot fail.
        let _ = writeln!(code, "NAMESPACES[{}] = {}", quote(namespace), rules(own));
    }
    for file in FILES {
        code.push('\n');
        code.push_str(file);
    }
    let version = LibraryVersion { code: CODE_VERSION, revision, settings };
    Library { name: name.to_owned(), code, version }
}

/// All rules in one line, for people and to be compared.
fn settings(history: &HistorySettings) -> String {
    let mut line = format!("event={} default={}", history.max_event_bytes, rules(&history.default));
    for (namespace, own) in &history.namespaces {
        let _ = write!(line, " {namespace}={}", rules(own));
    }
    line
}

/// The rules of a namespace as a table of Lua; times in milliseconds, at least one.
fn rules(rules: &HistoryRules) -> String {
    let millis = |time: std::time::Duration| time.as_millis().max(1);
    let log = rules.history.map(|log| format!("size={},log_ttl={},", log.size, millis(log.ttl)));
    format!(
        "{{{}top_ttl={},key_ttl={}}}",
        log.unwrap_or_default(),
        millis(rules.position_ttl()),
        millis(rules.dedupe_ttl)
    )
}

/// A string of Lua that holds any text: what is no letter or digit by its number.
fn quote(text: &str) -> String {
    let mut quoted = String::from("'");
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b' ' | b'=' | b',' | b'_' | b'{' | b'}' => {
                quoted.push(char::from(byte));
            }
            _ => {
                let _ = write!(quoted, "\\{byte:03}");
            }
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_may_have_any_name() {
        assert_eq!(quote("a'1"), "'a\\0391'");
        assert_eq!(quote("\\é\n"), "'\\092\\195\\169\\010'");
        let mut history = HistorySettings::default();
        history.namespaces.insert("it's".to_owned(), HistoryRules::default());
        let library = library(&Prefix::default(), &history);
        assert!(library.code.contains("NAMESPACES['it\\039s'] = {top_ttl=2592000000,key_ttl=300000}\n"));
        assert!(library.version.settings.ends_with(" it's={top_ttl=2592000000,key_ttl=300000}"));
    }
}
