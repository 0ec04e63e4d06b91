//! The command line against a running server, as people and scripts use it.

use std::process::Output;

use serde_json::Value;

use crate::server::{ACCOUNT, Data, Server, TOKEN, countersign, err, out, output_of};

/// The only line on standard output: the secret, and nothing that is not the secret.
pub(crate) fn secret_of(output: &Output) -> String {
    assert!(output.status.success(), "{}", err(output));
    let stdout = out(output);
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    let secret = stdout.trim_end().to_owned();
    assert!(!err(output).contains(&secret), "the secret is on standard error too");
    secret
}

/// The value of a line such as `client id  88bf….access`.
pub(crate) fn fact(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().to_owned()
}

pub(crate) fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", err(output));
    serde_json::from_str(&out(output)).expect("JSON on standard output")
}

pub(crate) struct Issued {
    id: String,
    pub(crate) client_id: String,
    pub(crate) secret: String,
}

pub(crate) fn issue(server: &Server, arguments: &[&str]) -> Issued {
    let arguments = ["service-token", "issue"].iter().chain(arguments).copied();
    let output = server.cli(arguments);
    let secret = secret_of(&output);
    let about = err(&output);
    Issued { id: fact(&about, "id"), client_id: fact(&about, "client id"), secret }
}

#[test]
fn a_token_lives_from_issue_to_revoke() {
    let data = Data::new();
    let server = Server::start(&data);
    let token = issue(&server, &["--name", "ci", "--duration", "90d"]);
    assert!(server.opens(&token.client_id, &token.secret));

    let shown = out(&server.cli(["service-token", "show", &token.id]));
    assert_eq!(fact(&shown, "name"), "ci");
    assert_eq!(fact(&shown, "duration"), "2160h", "days are hours on the wire");
    assert_eq!(fact(&shown, "status"), "enabled");
    assert_eq!(fact(&shown, "last seen"), "just now");

    let rotated = secret_of(&server.cli(["service-token", "rotate", &token.id, "--overlap", "24h"]));
    assert!(server.opens(&token.client_id, &token.secret) && server.opens(&token.client_id, &rotated));
    let shown = out(&server.cli(["service-token", "show", &token.id]));
    assert!(shown.contains("\nv2      current") && shown.contains("\nv1      valid until "), "{shown}");
    assert!(server.cli(["service-token", "update", &token.id, "--overlap", "0s"]).status.success());
    assert!(!server.opens(&token.client_id, &token.secret) && server.opens(&token.client_id, &rotated));

    let at_once = secret_of(&server.cli(["service-token", "rotate", &token.id]));
    assert!(!server.opens(&token.client_id, &rotated) && server.opens(&token.client_id, &at_once));

    let disabled = out(&server.cli(["service-token", "disable", &token.id]));
    assert_eq!(fact(&disabled, "status"), "disabled");
    assert!(!server.opens(&token.client_id, &at_once));
    let enabled = out(&server.cli(["service-token", "enable", &token.id]));
    assert_eq!(fact(&enabled, "status"), "enabled");
    assert!(server.opens(&token.client_id, &at_once));

    let update = ["service-token", "update", &token.id, "--name", "cd", "--scope", "a", "--scope", "b:*"];
    let updated = out(&server.cli(update));
    assert_eq!((fact(&updated, "name"), fact(&updated, "scopes")), ("cd".to_owned(), "a b:*".to_owned()));
    let before = json_of(&server.cli(["service-token", "show", &token.id, "--json"]));
    let after = json_of(&server.cli(["service-token", "refresh", &token.id, "--json"]));
    assert!(before["expires_at"].as_str() < after["expires_at"].as_str());

    let revoked = server.cli(["service-token", "revoke", &token.id]);
    assert_eq!(out(&revoked), format!("revoked {} (cd)\n", token.id));
    assert!(!server.opens(&token.client_id, &at_once));
    let gone = server.cli(["service-token", "show", &token.id]);
    assert_eq!(
        (gone.status.code(), err(&gone).as_str()),
        (Some(3), "countersign: service_token_not_found\n")
    );
}

#[test]
fn lists_are_narrowed() {
    let data = Data::new();
    let server = Server::start(&data);
    issue(&server, &["--name", "soon", "--duration", "7d"]);
    issue(&server, &["--name", "later", "--duration", "8760h", "--disabled"]);
    issue(&server, &["--name", "never", "--duration", "forever"]);
    let names = |arguments: &[&str]| -> Vec<String> {
        let arguments = ["service-token", "list", "--json"].iter().chain(arguments).copied();
        let list = json_of(&server.cli(arguments));
        let rows = list.as_array().expect("a list").iter();
        rows.map(|row| row["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(names(&[]), ["soon", "later", "never"]);
    assert_eq!(names(&["--expiring", "14d"]), ["soon"]);
    assert_eq!(names(&["--expiring", "6d"]), [""; 0]);
    assert_eq!(names(&["--idle", "90d"]), [""; 0], "they are too young");
    assert_eq!(names(&["--idle", "0s"]), ["soon", "later", "never"]);
    assert_eq!(names(&["--name", "later"]), ["later"]);
    assert_eq!(names(&["--search", "NE"]), ["never"]);
    assert_eq!(names(&["--limit", "2"]), ["soon", "later"]);

    let cut = server.cli(["service-token", "list", "--limit", "2"]);
    assert_eq!(err(&cut), "countersign: there are more than these 2; see --limit\n");
    let table = out(&server.cli(["service-token", "list"]));
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().skip(1).collect()).collect();
    assert_eq!(lines[0], ["NAME", "STATUS", "DAYS", "LEFT", "LAST", "SEEN", "SECRET"]);
    assert_eq!(lines[1], ["soon", "enabled", "6", "never", "v1"]);
    assert_eq!(lines[2], ["later", "disabled", "364", "never", "v1"]);
    assert_eq!(lines[3], ["never", "enabled", "never", "ends", "never", "v1"]);
}

#[test]
fn lists_go_over_many_pages() {
    let data = Data::new();
    let server = Server::start(&data);
    let agent = ureq::Agent::new_with_defaults();
    for _ in 0..1_001 {
        let url = server.url(&format!("/client/v4/accounts/{ACCOUNT}/access/service_tokens"));
        let request = agent.post(url).header("authorization", format!("Bearer {TOKEN}"));
        request.send(r#"{"name":"one of many"}"#).expect("a token");
    }
    let list = server.cli(["service-token", "list", "--limit", "5000", "--json"]);
    assert_eq!(json_of(&list).as_array().map(Vec::len), Some(1_001));
}

#[test]
fn access_tokens_are_issued_listed_and_revoked() {
    let data = Data::new();
    let server = Server::start(&data);
    let issued = server.cli(["access-token", "issue", "--ttl", "30d", "--scope", "countersign:verify"]);
    let text = secret_of(&issued);
    let handle = fact(&err(&issued), "handle");
    assert_eq!(handle, text[..22]);

    let listed = out(&server.cli(["access-token", "list"]));
    let line = listed.lines().find(|line| line.starts_with(&handle)).expect("the token in the list");
    assert!(line.contains("(in 29 days)") && line.ends_with("countersign:verify"), "{line}");
    assert!(!listed.contains(&text));

    let narrow = server.cli_as(&text, ["service-token", "list"], "");
    assert_eq!(narrow.status.code(), Some(3), "it may verify and nothing else: {}", err(&narrow));

    let revoked = server.cli_as(TOKEN, ["access-token", "revoke", "-"], &format!("{text}\n"));
    assert_eq!(out(&revoked), format!("revoked {handle}\n"), "{}", err(&revoked));
    assert_eq!(server.call("GET", "/api/v1/self", &text, None).0, 401);
    let other = secret_of(&server.cli(["access-token", "issue", "--ttl", "forever"]));
    assert!(server.cli(["access-token", "revoke", &other[..22]]).status.success());

    let whole_text = server.cli(["access-token", "revoke", &other]);
    assert_eq!(whole_text.status.code(), Some(2));
    assert!(!err(&whole_text).contains(&other), "a secret on the command line is not repeated");
}

/// What a command that succeeds prints.
fn printed(server: &Server, arguments: &[&str]) -> String {
    let output = server.cli(arguments.iter().copied());
    assert!(output.status.success(), "{arguments:?}: {}", err(&output));
    out(&output)
}

/// The id that is all of what a command prints.
fn id_of(server: &Server, arguments: &[&str]) -> String {
    let id = printed(server, arguments);
    assert!(id.len() == 33 && id.ends_with('\n'), "{id}");
    id.trim_end().to_owned()
}

/// A table with `…` for the times in it.
fn without_times(text: &str) -> String {
    let word = |word: &str| if word.ends_with(" UTC") { "…".to_owned() } else { word.to_owned() };
    let line = |line: &str| line.split("  ").map(word).collect::<Vec<_>>().join("  ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn accounts_are_made_stopped_and_ended() {
    let data = Data::new();
    let server = Server::start(&data);
    let machines = id_of(&server, &["account", "create", "machines@acme.example"]);
    let with_password = ["account", "create", "bob@acme.example", "--password-file", "-"];
    let created = server.cli_as(TOKEN, with_password, "Correct-horse1\n");
    let bob = out(&created).trim_end().to_owned();
    assert_eq!(fact(&err(&created), "email"), "bob@acme.example");
    let body = serde_json::json!({ "email": "bob@acme.example", "password": "Correct-horse1" });
    assert_eq!(
        server.call("POST", "/v1/Accounts/login", "", Some(&body)).0,
        200,
        "the line end is no part of it"
    );

    let shown = printed(&server, &["account", "show", &bob]);
    let golden = format!(
        "id       {bob}\nemail    bob@acme.example\nstate    enabled\nbelow    {ACCOUNT}\ncreated  …"
    );
    assert_eq!(without_times(&shown), golden);
    let golden = format!(
        "ID                                EMAIL                  STATE    CREATED\n\
         {machines}  machines@acme.example  enabled  …\n\
         {bob}  bob@acme.example       enabled  …"
    );
    assert_eq!(without_times(&printed(&server, &["account", "list"])), golden);
    let cut = server.cli(["account", "list", "--limit", "1", "--json"]);
    assert_eq!(json_of(&cut)[0]["id"], *machines);
    assert_eq!(err(&cut), "countersign: 1 of 2; see --limit\n");

    let issued = server.cli(["account", "impersonate", &bob, "--ttl", "1h"]);
    let text = secret_of(&issued);
    assert_eq!(err(&issued), format!("handle   {}\naccount  {bob}\n", &text[..22]));
    let answers =
        |wanted: u16| assert_eq!(server.call("GET", "/v1/Accounts/authorized", &text, None).0, wanted);
    answers(200);
    for (verb, done, answer) in
        [("disable", "disabled", 401), ("enable", "enabled", 200), ("delete", "deleted", 401)]
    {
        let told = printed(&server, &["account", verb, &bob]);
        assert_eq!(told, format!("{done} {bob} and everything below it\n"));
        answers(answer);
    }
    assert_eq!(
        json_of(&server.cli(["account", "delete", &machines, "--json"])),
        serde_json::json!({"count": 1})
    );

    for (arguments, stdin, code, words) in [
        (&["account", "show", &bob][..], "", 3, "Authorization Required"),
        (&["account", "create", "nonsense"], "", 3, "email: is invalid"),
        (&["account", "create", "ROOT@localhost"], "", 3, "email: Email already exists"),
        (&["account", "delete", ACCOUNT], "", 3, "id: cannot be deleted"),
        (
            &["account", "create", "eve@acme.example", "--password-file", "-"],
            "short",
            3,
            "password: must have at least 8 characters",
        ),
        (
            &["account", "create", "eve@acme.example", "--password-file", "/nowhere"],
            "",
            1,
            "cannot read /nowhere: No such file or directory (os error 2)",
        ),
    ] {
        let output = server.cli_as(TOKEN, arguments.iter().copied(), stdin);
        assert_eq!((output.status.code(), err(&output)), (Some(code), format!("countersign: {words}\n")));
    }
}

#[test]
fn organizations_let_members_in_and_put_them_out() {
    let data = Data::new();
    let server = Server::start(&data);
    let [acme, guest] =
        ["acme@x.example", "guest@x.example"].map(|email| id_of(&server, &["account", "create", email]));
    let organization = id_of(&server, &["organization", "create", "Acme Ltd", "--account", &acme]);
    let row = |state: &str| format!("{organization}  Acme Ltd  {state}  …");
    let listed = || without_times(&printed(&server, &["organization", "list", "--account", &acme]));
    assert_eq!(
        listed(),
        format!("ID                                NAME      STATE   CREATED\n{}", row("active"))
    );
    for (verb, done, state) in
        [("deactivate", "deactivated", "deactivated"), ("activate", "activated", "active")]
    {
        let told = printed(&server, &["organization", verb, &organization]);
        assert_eq!(told, format!("{done} {organization}\n"));
        assert!(listed().ends_with(&row(state)), "{}", listed());
    }

    let members = || printed(&server, &["organization", "members", &organization]);
    let invited =
        id_of(&server, &["organization", "invite", &organization, &guest, "--role", "admin", "--ask"]);
    let owner = members().lines().nth(1).expect("the owner")[..32].to_owned();
    assert_eq!(
        members(),
        format!(
            "ID                                ACCOUNT                           ROLE   STATE\n\
             {owner}  {acme}  admin  active\n\
             {invited}  {guest}  admin  asked\n"
        )
    );
    assert_eq!(
        printed(&server, &["organization", "memberships", "--account", &guest]),
        format!(
            "ID                                ORGANIZATION                      ROLE   STATE\n\
             {invited}  {organization}  admin  asked\n"
        )
    );
    for (verb, done, state) in [
        ("accept", "accepted", "active"),
        ("disable", "disabled", "disabled"),
        ("enable", "enabled", "active"),
        ("reject", "rejected", "rejected"),
    ] {
        assert_eq!(printed(&server, &["organization", verb, &invited]), format!("{done} {invited}\n"));
        assert!(members().ends_with(&format!("admin  {state}\n")), "{}", members());
    }
    assert_eq!(printed(&server, &["organization", "remove", &invited]), format!("removed {invited}\n"));
    assert_eq!(members().lines().count(), 2, "{}", members());
    let silently = json_of(&server.cli(["organization", "invite", &organization, &guest, "--json"]));
    assert_eq!((&silently["role"], &silently["active"]), (&"default".into(), &true.into()), "{silently}");
    let nobody = "0".repeat(32);
    let refused = server.cli(["organization", "invite", &organization, &nobody]);
    assert_eq!(refused.status.code(), Some(3), "{}", out(&refused));
}

#[test]
fn access_tokens_have_names_and_end_with_what_stems_from_them() {
    let data = Data::new();
    let server = Server::start(&data);
    let bob = id_of(&server, &["account", "create", "bob@acme.example"]);
    let issued =
        server.cli(["access-token", "issue", "--account", &bob, "--name", "parent", "--ttl", "forever"]);
    let parent = secret_of(&issued);
    assert_eq!(fact(&err(&issued), "name"), "parent");
    let child = secret_of(&server.cli_as(&parent, ["access-token", "issue", "--ttl", "forever"], ""));
    let golden = format!(
        "HANDLE                  NAME    CREATED  EXPIRES  SCOPES\n\
         {}  parent  …  never    everything that the account may\n\
         {}          …  never    everything that the account may",
        &parent[..22],
        &child[..22]
    );
    let listed = printed(&server, &["access-token", "list", "--account", &bob]);
    let narrow = |line: &str| line.replacen("CREATED             ", "CREATED", 1);
    assert_eq!(
        listed.lines().map(|line| narrow(&without_times(line))).collect::<Vec<_>>().join("\n"),
        golden
    );

    let revoke = ["access-token", "revoke", &parent[..22], "--descendants", "--account", &bob];
    assert_eq!(
        printed(&server, &revoke),
        format!("revoked {} and everything that stems from it\n", &parent[..22])
    );
    for ended in [&parent, &child] {
        assert_eq!(server.call("GET", "/api/v1/self", ended, None).0, 401);
    }
    let other = secret_of(&server.cli(["access-token", "issue", "--ttl", "forever"]));
    assert_eq!(
        printed(&server, &["access-token", "revoke-all"]),
        format!("revoked every access token of {ACCOUNT}; the one in use stays\n")
    );
    assert_eq!(server.call("GET", "/api/v1/self", &other, None).0, 401);
    assert_eq!(server.get("/api/v1/self").0, 200);
}

#[test]
fn verification_is_an_exit_code() {
    let data = Data::new();
    let server = Server::start(&data);
    let token = issue(&server, &["--name", "ci", "--scope", "deploy:*"]);
    let verify = |arguments: &[&str], stdin: &str| {
        let all = ["verify", "--client-id", &token.client_id].into_iter().chain(arguments.iter().copied());
        server.cli_as(TOKEN, all, stdin)
    };

    let valid =
        verify(&["--scope", "deploy:prod|root", "--kind", "service", "--account", ACCOUNT], &token.secret);
    assert_eq!(
        (valid.status.code(), out(&valid).lines().next()),
        (Some(0), Some("valid")),
        "{}",
        err(&valid)
    );
    assert_eq!(fact(&out(&valid), "name"), "ci");
    let file = data.path().with_file_name("secret");
    std::fs::write(&file, format!("{}\n", token.secret)).expect("a file");
    assert!(verify(&["--from", file.to_str().expect("a path in UTF-8")], "").status.success());

    let refused = |output: &Output, reason: &str| {
        assert_eq!((output.status.code(), out(output)), (Some(1), format!("refused: {reason}\n")));
    };
    refused(&verify(&["--scope", "admin"], &token.secret), "insufficient_scope");
    refused(&verify(&[], "nonsense"), "malformed");
    let other = issue(&server, &["--name", "other"]);
    refused(&verify(&[], &other.secret), "wrong_secret");
    let json = verify(&["--json"], &other.secret);
    assert_eq!(json.status.code(), Some(1));
    assert!(out(&json).contains(r#""reason": "wrong_secret""#), "{}", out(&json));

    let access = server.cli_as(TOKEN, ["verify", "--token-stdin"], &format!("{TOKEN}\n"));
    assert!(access.status.success() && !out(&access).contains(TOKEN), "{}", err(&access));
}

#[test]
fn the_audit_tells_what_was_done() {
    let data = Data::new();
    let server = Server::start(&data);
    let token = issue(&server, &["--name", "ci"]);
    server.cli(["service-token", "update", &token.id, "--name", "cd"]);
    server.cli(["service-token", "disable", &token.id]);

    let of_token = out(&server.cli(["audit", "--token", &token.id]));
    let actions: Vec<&str> = of_token.lines().skip(1).filter_map(|line| line.split("  ").nth(1)).collect();
    assert_eq!(
        actions,
        ["service_token.disable", "service_token.rename", "service_token.issue"],
        "{of_token}"
    );
    assert!(of_token.contains("name: ci -> cd"), "{of_token}");
    let one = json_of(&server.cli(["audit", "--action", "service_token.rename", "--since", "1h", "--json"]));
    assert_eq!(one.as_array().map(Vec::len), Some(1), "{one}");
    let none = json_of(&server.cli(["audit", "--until", "1h", "--json"]));
    assert_eq!(none.as_array().map(Vec::len), Some(0), "{none}");
    let cut = server.cli(["audit", "--limit", "1"]);
    assert_eq!(out(&cut).lines().count(), 2, "a head and a line");
    assert!(err(&cut).contains("see --limit"), "{}", err(&cut));
}

#[test]
fn failures_have_codes_and_words() {
    let data = Data::new();
    let server = Server::start(&data);
    let code_and_words = |output: &Output| (output.status.code(), err(output));

    let wrong_value = server.cli(["service-token", "issue", "--name", "x", "--duration", "1.5"]);
    let (code, words) = code_and_words(&wrong_value);
    assert!(code == Some(3) && words.starts_with("countersign: duration: has a number without"), "{words}");

    let wrong_token = server.cli_as("nobody-has-this-token-0123456789abcdef", ["service-token", "list"], "");
    let (code, words) = code_and_words(&wrong_token);
    assert!(code == Some(3) && !words.contains("nobody-has-this"), "{words}");

    let no_token = output_of(countersign(["service-token", "list"]), "");
    let (code, words) = code_and_words(&no_token);
    assert!(code == Some(2) && words.starts_with("countersign: COUNTERSIGN_TOKEN is not set"), "{words}");

    let nothing = server.cli(["service-token", "update", "0192f3c4-a5b6-7c8d-9e0f-1a2b3c4d5e6f"]);
    assert_eq!(nothing.status.code(), Some(2), "{}", err(&nothing));
    assert_eq!(server.cli(["service-token", "lists"]).status.code(), Some(2));
    assert_eq!(server.cli(["--version"]).status.code(), Some(0));

    let address = server.url("");
    server.stop();
    let mut gone = countersign(["service-token", "list"]);
    gone.env("COUNTERSIGN_URL", &address).env("COUNTERSIGN_TOKEN", TOKEN);
    let (code, words) = code_and_words(&output_of(gone, ""));
    assert!(
        code == Some(4) && words.starts_with(&format!("countersign: cannot reach {address}: ")),
        "{words}"
    );
    assert!(!words.contains(TOKEN));
}
