//! The recipes for proxies: `tests/peers/*/*.template`. What stands between their marks is what people copy, and the
//! README shows it. Words such as `@DOOR@` stand for what differs from one place to another.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The values of the words of a recipe.
pub(crate) type Values = BTreeMap<String, String>;

/// A file of the project.
pub(crate) fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What people copy.
pub(crate) fn recipe(template: &str) -> &str {
    let (_, after) = template.split_once("# --- recipe: begin ---\n").expect("where the recipe begins");
    after.split_once("# --- recipe: end ---").expect("where the recipe ends").0
}

/// The template with a value for each of its words.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = template.to_owned();
    for (word, value) in values {
        text = text.replace(&format!("@{word}@"), value);
    }
    assert_eq!(first_word(&text), None, "a word without a value");
    text
}

/// The content of the first fenced block of this language.
pub(crate) fn fenced<'d>(document: &'d str, language: &str) -> Option<&'d str> {
    let (_, after) = document.split_once(&format!("```{language}\n"))?;
    after.split_once("```").map(|(block, _)| block)
}

/// Checks that `text` is the recipe with some value for each word, everywhere the same one, and notes the values.
/// `Err`: the first line that is not.
pub(crate) fn check_filled(recipe: &str, text: &str, values: &mut Values) -> Result<(), String> {
    let mut lines = text.lines();
    for wanted in recipe.lines() {
        let found = lines.next().unwrap_or("(nothing more)");
        if !fits(wanted, found, values) {
            return Err(format!("wanted: {wanted}\n found: {found}\n  with: {values:?}"));
        }
    }
    lines.next().map_or(Ok(()), |line| Err(format!("too much: {line}")))
}

fn fits(wanted: &str, found: &str, values: &mut Values) -> bool {
    let Some((before, word, after)) = first_word(wanted) else { return wanted == found };
    let Some(rest) = found.strip_prefix(before) else { return false };
    let literal = first_word(after).map_or(after, |(literal, _, _)| literal);
    let end = if literal.is_empty() { Some(rest.len()) } else { rest.find(literal) };
    let Some((value, rest)) = end.map(|end| rest.split_at(end)) else { return false };
    let known = values.entry(word.to_owned()).or_insert_with(|| value.to_owned());
    !value.is_empty() && known == value && fits(after, rest, values)
}

/// The first `@WORD@`, and what stands before and after it.
fn first_word(text: &str) -> Option<(&str, &str, &str)> {
    text.match_indices('@').find_map(|(at, _)| {
        let (word, after) = text[at + 1..].split_once('@')?;
        let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase());
        is_word.then_some((&text[..at], word, after))
    })
}

#[test]
fn a_filled_recipe_is_known_and_every_other_text_is_not() {
    let check = |recipe: &str, text: &str| check_filled(recipe, text, &mut Values::new());
    let recipe = "@SITE@ {\n\tdoor @DOOR@?a=@A@&b=@B@\n\t@outgoing @DOOR@\n}\n";
    let filled = fill(recipe, &[("SITE", "app.example"), ("DOOR", "[::1]:1"), ("A", "x"), ("B", "y")]);
    assert_eq!(filled, "app.example {\n\tdoor [::1]:1?a=x&b=y\n\t@outgoing [::1]:1\n}\n");
    assert_eq!(check(recipe, &filled), Ok(()));
    for (from, to) in [("door", "Door"), ("@outgoing [::1]:1", "@outgoing [::1]:2"), ("}\n", ""), ("=y", "=")]
    {
        assert!(check(recipe, &filled.replace(from, to)).is_err(), "{from} -> {to}");
    }
    assert!(check(recipe, &format!("{filled}# more\n")).is_err());
}
