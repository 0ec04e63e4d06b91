//! The recipes of `docs/doors`, as people copy them: each stands in a fenced block below `<!-- recipe: NAME -->`. They name
//! the addresses and the account of an example; the tests put their own in.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where a recipe finds Countersign.
pub(crate) const EXAMPLE_DOOR: u16 = 8787;
/// Where it listens.
pub(crate) const EXAMPLE_LISTEN: u16 = 8080;
/// Where it finds the app.
pub(crate) const EXAMPLE_APP: u16 = 3000;
/// Whose tokens it lets in.
pub(crate) const EXAMPLE_ACCOUNT: &str = "01a20067236f7649817b20622efe3fc9";

/// Where a file of the project is.
pub(crate) fn path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A file of the project.
pub(crate) fn file(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The recipe of this name on a page.
pub(crate) fn recipe<'p>(page: &'p str, name: &str) -> &'p str {
    let mark = format!("<!-- recipe: {name} -->\n```");
    let (_, after) = page.split_once(&mark).unwrap_or_else(|| panic!("no recipe `{name}`"));
    let (_, block) = after.split_once('\n').expect("a language");
    let (block, _) = block.split_once("```").expect("the end of the block");
    block
}

/// The recipe with these texts in place of others, each of which stands in it.
pub(crate) fn fill(recipe: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(recipe.to_owned(), |text, (example, value)| {
        assert!(text.contains(example), "the recipe does not say `{example}`:\n{text}");
        text.replace(example, value)
    })
}

/// The recipe with another address of this machine in place of `127.0.0.1` and this port, written in one or in two pieces.
pub(crate) fn at(recipe: &str, example: u16, address: SocketAddr) -> String {
    assert!(address.ip().is_loopback() && address.is_ipv4(), "{address}");
    let spellings = [format!("127.0.0.1:{example}"), format!("port_value: {example} ")];
    let known: Vec<_> = spellings.iter().filter(|spelling| recipe.contains(*spelling)).collect();
    assert!(!known.is_empty(), "the recipe does not say where, {example}:\n{recipe}");
    known.into_iter().fold(recipe.to_owned(), |text, spelling| {
        let ours = spelling.replace(&example.to_string(), &address.port().to_string());
        text.replace(spelling, &ours)
    })
}

#[test]
fn a_recipe_is_what_stands_below_its_mark() {
    let page = "text\n```sh\nno\n```\n<!-- recipe: it -->\n```nginx\nlisten 127.0.0.1:8080; # x\n```\nmore\n";
    assert_eq!(recipe(page, "it"), "listen 127.0.0.1:8080; # x\n");
    assert_eq!(fill(recipe(page, "it"), &[("# x", "# y")]), "listen 127.0.0.1:8080; # y\n");
    let address = SocketAddr::from(([127, 0, 0, 1], 7));
    assert_eq!(at(recipe(page, "it"), 8080, address), "listen 127.0.0.1:7; # x\n");
    assert_eq!(at("{ port_value: 8080 }", 8080, address), "{ port_value: 7 }");
}
