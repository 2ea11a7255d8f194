//! The reference documentation, rendered from the code. Only tests use it.

use std::path::Path;

use crate::api::openapi;
use crate::api::route::Table;
use crate::api::routes;

mod api;
mod errors;
mod metrics;
mod objects;
mod settings;

/// The command that updates the pages.
const UPDATE: &str = "UPDATE_REFERENCE=1 cargo test --locked --lib reference";

/// The first line of every Markdown page.
const GENERATED: &str = "<!-- Generated from the code; see CONTRIBUTING.md. -->\n";

/// Returns the path of each page in the project, and the content.
fn pages() -> Vec<(&'static str, String)> {
    vec![
        (".env.example", settings::env_example()),
        ("docs/reference/api.md", api::page()),
        ("docs/reference/errors.md", errors::page()),
        ("docs/reference/metrics.md", metrics::page()),
        ("docs/reference/settings.md", settings::page()),
        ("docs/reference/openapi.json", openapi_json()),
    ]
}

/// Renders the OpenAPI document, from which the web page's TypeScript types are generated.
fn openapi_json() -> String {
    serde_json::to_string_pretty(&openapi::document(&Table::new(routes::all())))
        .expect("a document")
        + "\n"
}

/// Renders a row of a table.
fn row<const N: usize>(cells: [&str; N]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// Renders the head of a table.
fn head<const N: usize>(cells: [&str; N]) -> String {
    format!("{}{}|\n", row(cells), "|---".repeat(N))
}

/// Renders names as a list of code, or as a dash if there are none.
fn code_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "–".to_owned() } else { names.join(", ") }
}

#[test]
fn pages_are_up_to_date() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let outdated: Vec<_> = pages()
        .into_iter()
        .map(|(path, text)| (project.join(path), text))
        .filter(|(path, text)| std::fs::read_to_string(path).ok().as_ref() != Some(text))
        .collect();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        for (path, text) in outdated {
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            std::fs::write(path, text).expect("a page");
        }
        return;
    }
    let paths: Vec<_> = outdated.iter().map(|(path, _)| path).collect();
    assert!(paths.is_empty(), "{paths:?} differ from the code; to update them, run: {UPDATE}");
}
