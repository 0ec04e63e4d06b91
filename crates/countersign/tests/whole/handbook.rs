//! `docs/operating.md`: what of it is pasted, and on which machine.
//!
//! Each block says in its first line where it belongs: `# on db1 and db2` stands over commands, `# /etc/…, on db1` over
//! a file. Blocks of `text` are only looked at.

use crate::recipe::file;

/// Which page.
const PAGE: &str = "docs/operating.md";

/// A machine that the page speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Machine {
    /// That of whoever reads it.
    Own,
    Db1,
    Db2,
    Node1,
    Node2,
}

/// What is done with a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Its text is run.
    Run,
    /// Its text becomes this file.
    Write(String),
}

/// Something to paste.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// The heading above it.
    pub(crate) section: String,
    /// Where, in this order.
    pub(crate) machines: Vec<Machine>,
    pub(crate) purpose: Purpose,
    pub(crate) text: String,
}

/// The page, and all that is to be pasted from it.
pub(crate) struct Handbook {
    pub(crate) text: String,
    pub(crate) blocks: Vec<Block>,
}

impl Machine {
    pub(crate) const ALL: [Self; 5] = [Self::Own, Self::Db1, Self::Db2, Self::Node1, Self::Node2];

    /// As the page calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Own => "your own machine",
            Self::Db1 => "db1",
            Self::Db2 => "db2",
            Self::Node1 => "node1",
            Self::Node2 => "node2",
        }
    }
}

impl Handbook {
    /// As it stands in the project.
    pub(crate) fn read() -> Self {
        let text = file(PAGE);
        let blocks = blocks(&text);
        Self { text, blocks }
    }

    /// Every metric that it names.
    pub(crate) fn metrics(&self) -> Vec<&str> {
        let words = self.text.split(|letter: char| letter != '_' && !letter.is_ascii_alphanumeric());
        words.filter(|word| word.starts_with("countersign_")).collect()
    }
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut section) = (Vec::new(), "");
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix('#') {
            section = heading.trim_start_matches('#').trim();
        }
        let Some(language) = line.strip_prefix("```") else { continue };
        let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if language != "text" {
            blocks.push(block(section, language, &inside));
        }
    }
    blocks
}

fn block(section: &str, language: &str, lines: &[&str]) -> Block {
    let first = lines.first().copied().unwrap_or_default();
    let (purpose, place) = match (language, first.split_once(", on ")) {
        ("sh", _) => (Purpose::Run, first.strip_prefix("# on ").unwrap_or_default()),
        (_, Some((path, place))) => (
            Purpose::Write(path.strip_prefix("# /").map(|path| format!("/{path}")).unwrap_or_default()),
            place,
        ),
        _ => (Purpose::Run, ""),
    };
    let machines: Vec<Machine> =
        Machine::ALL.into_iter().filter(|machine| place.contains(machine.name())).collect();
    assert!(
        !machines.is_empty() && purpose != Purpose::Write(String::new()),
        "{section}: `{first}` does not say where a block of `{language}` belongs"
    );
    let text = lines.iter().flat_map(|line| [line, "\n"]).collect();
    Block { section: section.to_owned(), machines, purpose, text }
}

#[test]
fn every_block_says_where_it_belongs() {
    let page = "# Page\n```text\nlook\n```\n## Begin\n```ini\n# /etc/x, on db1 and db2\na = b\n```\n\
                ### Go on\n```sh\n# on node2\ntrue\n# no heading\n```\n";
    let found = blocks(page);
    let wanted = |section: &str, machines: &[Machine], purpose, text: &str| Block {
        section: section.to_owned(),
        machines: machines.to_owned(),
        purpose,
        text: text.to_owned(),
    };
    let databases = [Machine::Db1, Machine::Db2];
    assert_eq!(
        found,
        [
            wanted(
                "Begin",
                &databases,
                Purpose::Write("/etc/x".to_owned()),
                "# /etc/x, on db1 and db2\na = b\n"
            ),
            wanted("Go on", &[Machine::Node2], Purpose::Run, "# on node2\ntrue\n# no heading\n"),
        ]
    );
    for nowhere in
        ["```sh\ntrue\n```", "```sh\n# on db3\n```", "```ini\n# x, on db1\n```", "```\n# on db1\n```"]
    {
        assert!(std::panic::catch_unwind(|| blocks(nowhere)).is_err(), "{nowhere}");
    }
}
