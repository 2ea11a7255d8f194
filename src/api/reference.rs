//! The reference of the API for people: every endpoint with its role and its purpose.

use std::fmt::Write as _;

use super::route::{Audience, Row};
use super::routes;
use crate::access::keys::Role;

/// The groups of endpoints, with their headings.
const GROUPS: [(&str, &str); 5] = [
    ("streams", "Streams"),
    ("cameras", "Cameras"),
    ("playback", "Playback sessions"),
    ("media", "Media"),
    ("service", "Service"),
];

/// Returns the table of endpoints in Markdown.
pub fn markdown() -> String {
    let mut text = String::new();
    let rows = routes::all();
    for (tag, heading) in GROUPS {
        let _ = writeln!(text, "## {heading}\n");
        let _ = writeln!(text, "| Method and path | Role | Purpose |\n|---|---|---|");
        for row in &rows {
            let Some(operation) = row.operation.map(|operation| operation()) else { continue };
            if operation.tag() == tag {
                let (method, path) = (&row.method, row.path);
                let (role, summary) = (role(row), operation.summary());
                let _ = writeln!(text, "| `{method}` `{path}` | {role} | {summary} |");
            }
        }
        text.push('\n');
    }
    text
}

fn role(row: &Row) -> &'static str {
    match row.audience {
        Audience::Everyone => "none",
        Audience::Viewers => "`viewer`, or a playback token",
        Audience::Callers(Role::Viewer) => "`viewer`",
        Audience::Callers(Role::User) => "`user`",
        Audience::Callers(Role::Admin) => "`admin`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_endpoint_is_in_its_group() {
        let text = markdown();
        let documented = routes::all().iter().filter(|row| row.operation.is_some()).count();
        assert_eq!(text.lines().filter(|line| line.starts_with("| `")).count(), documented);
        for line in [
            "## Playback sessions",
            "| `POST` `/api/stream/start` | `viewer` | Starts a stream or joins it; answers when it \
             is playable |",
            "| `PUT` `/api/cameras.json` | `admin` | Adds or replaces all of these cameras, or none \
             of them |",
            "| `GET` `/livez` | none | Returns whether the process answers |",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("/internal/"), "{text}");
    }
}
