//! Promise 12: a search is by substring, whatever the case.

use countersign_domain::store::ServiceTokenQuery;

use crate::world::{Make, World, all_of, must};

/// Promise 12.
pub async fn promise_12(make: Make<'_>) {
    let world = World::new(make).await;
    let names =
        ["GitHub CI", "github cd", "École", "ÉCOLE 2", "straße", "ΣΊΣΥΦΟΣ", "100%_sure", "a*b?[c]", "'; --"];
    let mut tokens = Vec::new();
    for name in names {
        tokens.push(world.issue(&world.root, name).await);
    }
    let other = world.create_account(&world.root).await;
    world.issue(&other, "GitHub of another account").await;
    let found = async |text: &str, name: Option<&str>| {
        let (search, name) = (Some(text.to_owned()), name.map(str::to_owned));
        let query = ServiceTokenQuery { search, name, ..all_of(&world.root, 0, 100) };
        let page = must(world.store.list_service_tokens(query).await);
        assert_eq!(page.items.len() as u64, page.total);
        page.items.iter().map(|token| token.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found("GITHUB c", None).await, names[0..2]);
    assert_eq!(found("école", None).await, names[2..4]);
    assert_eq!(found("STRASSE", None).await, [""; 0], "one character for one");
    assert_eq!(found("RAß", None).await, names[4..5]);
    assert_eq!(found("σίσυφος", None).await, names[5..6]);
    for literal in ["0%_s", "*b?[", "'; --"] {
        assert_eq!(found(literal, None).await.len(), 1, "{literal} means itself");
    }
    assert_eq!(found("%", None).await, names[6..7]);
    assert_eq!(found("", None).await, names);
    assert_eq!(found("nowhere", None).await, [""; 0]);
    assert_eq!(found("git", Some("github cd")).await, names[1..2]);
    assert_eq!(found("git", Some("École")).await, [""; 0]);

    let id = tokens[4].id.to_string();
    assert_eq!(found(&id.to_uppercase(), None).await, names[4..5]);
    assert_eq!(found(&tokens[5].client_id.to_string()[20..], None).await, names[5..6]);
    assert_eq!(found(".ACCESS", None).await, names);

    let part = ServiceTokenQuery { search: Some("e".to_owned()), ..all_of(&world.root, 2, 3) };
    let page = must(world.store.list_service_tokens(part).await);
    assert_eq!((page.items, page.total), (tokens[2..5].to_vec(), 9), "every client id has an e");
}
