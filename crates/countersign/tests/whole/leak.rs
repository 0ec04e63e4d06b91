//! Design invariants 1 and 11: a secret is in the one answer that shows it and nowhere else: not in another answer, the
//! data directory, the log, the metrics, the audit or the usage, however clumsily it was presented.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::documented::{every_operation_was_done, try_documented_operations};
use crate::journal::{Journal, ServiceToken};
use crate::manager::{FAR_AWAY, tokens};
use crate::scene::AUDIENCE;
use crate::sealed::{has, private_keys};
use crate::server::{ACCOUNT, Data, Launch, Server, TOKEN};

/// A name that must be found where secrets must not: nothing is found in what is not read.
const WITNESS: &str = "a name that is no secret";
/// The file of a root token that was made at the first start.
const ROOT_TOKEN_FILE: &str = "root-token";
/// What somebody logs in with. Longer than what an answer repeats of a path, as every credential of ours is.
const PASSWORD: &str = "a password that nobody must see";
const OTHER_PASSWORD: &str = "another one that nobody must see";

#[test]
fn secrets_are_shown_once_with_a_stated_root_token() {
    let data = Data::new();
    let server = with_an_application(Launch::new(&data)).env("COUNTERSIGN_LOG_LEVEL", "debug").start();
    let journal = do_everything(&server, TOKEN);
    check_files(&journal, &data, None);
    let ended = server.stop();
    assert_eq!(ended.stdout, "", "nothing is told of a root token that the operator stated");
    check_log(&journal, &data, &ended.log);
    check_files(&journal, &data, None);
}

#[test]
fn secrets_are_shown_once_with_a_root_token_that_was_made() {
    let data = Data::new();
    let launch = Launch::bare(&data).env("COUNTERSIGN_ROOT_ACCOUNT_ID", ACCOUNT);
    let server = with_an_application(launch).env("COUNTERSIGN_LOG_LEVEL", "trace").start();
    let file = data.path().join(ROOT_TOKEN_FILE);
    let root = fs::read_to_string(&file).expect("the root token");
    assert_eq!(fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);
    let journal = do_everything(&server, root.trim_end());
    check_files(&journal, &data, Some(ROOT_TOKEN_FILE));
    let ended = server.stop();
    journal.check("standard output", &ended.stdout);
    check_log(&journal, &data, &ended.log);
    check_files(&journal, &data, Some(ROOT_TOKEN_FILE));
}

/// With one to which doors assert who was let in.
fn with_an_application(launch: Launch) -> Launch {
    launch.env("COUNTERSIGN_CLOUDFLARE_ACCESS_APPLICATIONS", format!("{AUDIENCE}?kind=service"))
}

/// All there is to do, well and badly, by HTTP and from the command line.
fn do_everything(server: &Server, root: &str) -> Journal {
    let mut journal = Journal::begin(server.address(), root);
    live_tokens(&mut journal);
    let login = live_accounts(&mut journal);
    let service = journal.issue_service_token(WITNESS);
    let access = journal.issue_access_token(json!({}));
    present_in_every_form(&mut journal, &service, &access);
    knock_at_every_path(&mut journal, &access);
    ask_for_verification(&mut journal, &service, &access);
    for secret in [service.secret.as_str(), &access, &login, PASSWORD] {
        put_into_urls(&mut journal, secret);
        put_into_bodies(&mut journal, secret);
        try_documented_operations(&mut journal, secret);
    }
    use_command_line(&mut journal, server, root);
    read_what_was_recorded(&mut journal, &service, &access);
    every_operation_was_done(&mut journal);
    journal.check_answers();
    journal
}

/// Every operation that shows or ends a secret.
fn live_tokens(journal: &mut Journal) {
    let ServiceToken { id, .. } = journal.issue_service_token("lives through everything");
    let one = format!("{}/{id}", tokens());
    let rotate = format!("{one}/rotate");
    journal.manage_secret("POST", &rotate, json!({ "previous_client_secret_expires_at": FAR_AWAY }));
    journal.manage_secret("POST", &rotate, json!({}));
    journal.repeat_rotation(&rotate);
    journal.manage_secret("PUT", &one, json!({ "client_secret_version": 9 }));
    journal.manage("POST", &format!("{one}/refresh"), json!({}));
    journal.manage("PUT", &one, json!({ "name": "another", "enabled": false }));
    journal.manage("PUT", &one, json!({ "enabled": true }));
    journal.manage("GET", &one, Value::Null);
    journal.manage("GET", &tokens(), Value::Null);
    journal.manage("DELETE", &one, Value::Null);

    let access = journal.issue_access_token(json!({ "scopes": ["countersign:verify"], "ttl": 60 }));
    journal.manage("GET", "/v1/Accounts/me/accessTokens", Value::Null);
    journal.manage("DELETE", &format!("/v1/Accounts/me/accessTokens/{access}"), Value::Null);
}

/// Everything that is done with accounts and organizations; gives a token from logging in.
fn live_accounts(journal: &mut Journal) -> String {
    journal.present(PASSWORD);
    journal.present(OTHER_PASSWORD);
    let [email, other] = ["ada@example.com", "bob@example.com"];
    let [id, other] = [email, other].map(|email| {
        let account = journal.manage("POST", "/v1/Accounts", json!({ "email": email, "password": PASSWORD }));
        account["id"].as_str().expect("an id").to_owned()
    });
    let one = format!("/v1/Accounts/{id}");
    let login = journal.obtain("/v1/Accounts/login", json!({ "email": email, "password": PASSWORD }));
    journal.obtain("/v1/Accounts/impersonate", json!({ "id": id, "ttl": 60 }));
    journal.obtain("/v1/Accounts/impersonate", json!({ "email": email }));
    let wrong = json!({ "email": email, "password": OTHER_PASSWORD }).to_string();
    journal.ask("POST", "/v1/Accounts/login", &[("content-type", "application/json")], &wrong);
    let parent = journal.obtain(&format!("{one}/accessTokens"), json!({}));
    journal.manage("PATCH", &one, json!({ "firstname": "Ada" }));
    journal.manage("PATCH", &format!("/v1/Accounts/{other}"), json!({ "password": OTHER_PASSWORD }));
    for target in ["", "/count", "/authorized", "/is-unique?email=x@example.com"] {
        journal.manage("GET", &format!("/v1/Accounts{target}"), Value::Null);
    }
    for target in ["", "/is-verified", "/organizations", "/organizations/count", "/accessTokens"] {
        journal.manage("GET", &format!("{one}{target}"), Value::Null);
    }
    live_organizations(journal, &id, &other);
    journal.manage("DELETE", &format!("{one}/accessTokens/{parent}?descendants=true"), Value::Null);
    for body in [
        json!({ "oldPassword": OTHER_PASSWORD, "newPassword": PASSWORD }),
        json!({ "oldPassword": PASSWORD, "newPassword": "short" }),
        json!({ "oldPassword": PASSWORD, "newPassword": OTHER_PASSWORD }),
    ] {
        journal.ask_as(&login, "POST", "/v1/Accounts/change-password", &body.to_string());
    }
    journal.ask_as(&login, "POST", "/v1/Accounts/logout", "");
    let login = journal.obtain("/v1/Accounts/login", json!({ "email": email, "password": OTHER_PASSWORD }));
    for step in ["revoke-access-tokens", "disable", "enable"] {
        journal.manage("POST", &format!("/v1/Accounts/{other}/{step}"), Value::Null);
    }
    journal.manage("DELETE", &format!("/v1/Accounts/{other}"), Value::Null);
    login
}

fn live_organizations(journal: &mut Journal, owner: &str, member: &str) {
    let path = format!("/v1/Accounts/{owner}/organizations");
    let organization = journal.manage("POST", &path, json!({ "name": "an organization" }));
    let one = format!("/v1/Organizations/{}", organization["id"].as_str().expect("an id"));
    journal.manage("PATCH", &one, json!({ "name": "another name" }));
    journal.manage("POST", &format!("{one}/deactivate"), Value::Null);
    journal.manage("POST", &format!("{one}/activate"), Value::Null);
    let access = journal.manage("POST", &format!("{one}/invite"), json!({ "accountId": member }));
    journal.manage("GET", &one, Value::Null);
    journal.manage("GET", &format!("{one}/accountorganizations"), Value::Null);
    journal.manage("GET", &format!("/v1/Accounts/{member}/accountorganizations"), Value::Null);
    let access = format!("/v1/AccountOrganizations/{}", access["id"].as_str().expect("an id"));
    for step in ["reject", "accept", "disable", "enable"] {
        journal.manage("POST", &format!("{access}/{step}"), Value::Null);
    }
    journal.manage("POST", &format!("{access}/change-role"), json!({ "role": "admin" }));
    journal.manage("DELETE", &access, Value::Null);
}

/// Right and wrong, whole and in halves, once and twice, at the door and at every API.
fn present_in_every_form(journal: &mut Journal, service: &ServiceToken, access: &str) {
    let ServiceToken { client_id, secret, .. } = service;
    let mut credentials = service_credentials(journal, client_id, secret, access);
    credentials.extend(access_credentials(journal, access, secret));
    let tokens = tokens();
    let places = [
        "/authz",
        "/authz?scope=a&kind=service",
        "/authz/some/path",
        "/api/v1/self",
        "/v1/Accounts/me/accessTokens",
        "/nothing/here",
        &tokens,
    ];
    for credential in &credentials {
        let headers: Vec<(&str, &str)> = credential.iter().map(|(name, value)| (*name, &**value)).collect();
        for place in places {
            journal.ask("GET", place, &headers, "");
        }
    }
}

/// The door below a path, where the operator's proxy states the demand in a header.
fn knock_at_every_path(journal: &mut Journal, access: &str) {
    let bearer = format!("Bearer {access}");
    let headers = [("authorization", &*bearer), ("x-countersign-demand", "any")];
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
        journal.ask(method, "/authz/path", &headers, "");
    }
}

/// The headers of a request.
type Headers = Vec<(&'static str, String)>;

/// The last character is not what it was.
fn broken(text: &str) -> String {
    format!("{}!", &text[..text.len() - 1])
}

fn service_credentials(journal: &mut Journal, client_id: &str, secret: &str, access: &str) -> Vec<Headers> {
    let mut credentials = Vec::new();
    for secret in [secret.to_owned(), broken(secret), access.to_owned()] {
        let id = ("cf-access-client-id", client_id.to_owned());
        let header = ("cf-access-client-secret", secret.clone());
        let json = json!({ "cf-access-client-id": client_id, "cf-access-client-secret": secret }).to_string();
        credentials.extend([
            vec![id.clone(), header.clone()],
            vec![header.clone()],
            vec![id.clone(), header.clone(), header.clone()],
            vec![("cf-access-client-id", secret.clone()), header.clone()],
            vec![id, header, ("authorization", format!("Bearer {access}"))],
            vec![("authorization", json)],
            vec![("authorization", journal.basic(client_id, &secret))],
        ]);
    }
    credentials
}

fn access_credentials(journal: &mut Journal, access: &str, secret: &str) -> Vec<Headers> {
    let mut credentials = Vec::new();
    for text in [access.to_owned(), broken(access), secret.to_owned()] {
        for form in ["", "Bearer ", "Token ", "Bearer x "] {
            credentials.push(vec![("authorization", format!("{form}{text}"))]);
        }
        for (user, password) in [("", &*text), (&*text, ""), ("anybody", &*text)] {
            credentials.push(vec![("authorization", journal.basic(user, password))]);
        }
        credentials.extend([
            vec![("x-access-token", text.clone())],
            vec![("x-auth-email", "root@localhost".to_owned()), ("x-auth-key", text.clone())],
            vec![("x-auth-email", text.clone()), ("x-auth-key", text)],
        ]);
    }
    credentials
}

fn ask_for_verification(journal: &mut Journal, service: &ServiceToken, access: &str) {
    let ServiceToken { client_id, secret, .. } = service;
    for question in [
        json!({ "client_id": client_id, "client_secret": secret }),
        json!({ "client_id": client_id, "client_secret": access }),
        json!({ "client_id": secret, "client_secret": client_id }),
        json!({ "client_secret": secret }),
        json!({ "token": access }),
        json!({ "token": secret }),
        json!({ "token": [access] }),
        json!({ "token": access, "client_secret": secret }),
        json!({ "token": access, "scope": secret }),
        json!({ "token": access, "scope": [secret], "account": secret, "kind": secret, "address": secret }),
    ] {
        journal.ask_as_root("POST", "/api/v1/verify", &question.to_string());
        let batch = json!({ "requests": [question] });
        journal.ask_as_root("POST", "/api/v1/verify/batch", &batch.to_string());
    }
    speak_oauth(journal, service, access);
    exchange(journal, service);
}

/// A signed token, shown at every door and put where it does not belong; and the keys that sign.
fn exchange(journal: &mut Journal, service: &ServiceToken) {
    let keys = format!("/client/v4/accounts/{ACCOUNT}/access/keys");
    journal.manage("PUT", &keys, json!({ "key_rotation_interval_days": 30 }));
    journal.manage("POST", &format!("{keys}/rotate"), Value::Null);
    let signed = journal.exchange(service);
    let bearer = format!("Bearer {signed}");
    let cookie = format!("CF_Authorization={signed}");
    for header in [("authorization", &*bearer), ("cf-access-token", &signed), ("cookie", &cookie)] {
        journal.ask("GET", "/authz?scope=nobody:has", &[header], "");
        journal.ask("GET", "/api/v1/self", &[header], "");
        journal.ask("GET", &tokens(), &[header], "");
        journal.ask("POST", "/api/v1/verify", &[header], &json!({ "token": signed }).to_string());
    }
    journal.ask_as_root("POST", "/api/v1/verify", &json!({ "token": signed }).to_string());
    journal.ask_as_root("POST", "/api/v1/verify", &json!({ "token": broken(&signed) }).to_string());
    let form = [("content-type", "application/x-www-form-urlencoded"), ("authorization", &*bearer)];
    for path in ["/oauth2/introspect", "/oauth2/revoke", "/oauth2/token"] {
        journal.ask(
            "POST",
            path,
            &form,
            &format!("token={signed}&grant_type={signed}&scope={signed}&resource={signed}"),
        );
    }
    put_into_urls(journal, &signed);
    journal.ask("GET", "/cdn-cgi/access/certs", &[], "");
    journal.ask("GET", "/cdn-cgi/access/get-identity", &[("cookie", &cookie)], "");
    // What a door asserts is no credential, and opens an application all the same.
    let assertion = journal.have_asserted(service, AUDIENCE);
    let bearer = format!("Bearer {assertion}");
    journal.ask("GET", "/authz", &[("authorization", &bearer)], "");
    put_into_urls(journal, &assertion);
}

/// Introspection and revocation, well and badly.
fn speak_oauth(journal: &mut Journal, service: &ServiceToken, access: &str) {
    journal.ask("GET", "/.well-known/oauth-authorization-server", &[], "");
    let ended = journal.issue_access_token(json!({}));
    let ServiceToken { client_id, secret, .. } = service;
    let bearer = format!("Bearer {}", journal.root());
    let basic = format!("Basic {}", STANDARD.encode(format!("{client_id}:{secret}")));
    for form in [
        format!("token={access}"),
        format!("token={client_id}:{secret}"),
        format!("token={secret}&address={secret}"),
        format!("token={access}&token={access}"),
        format!("{secret}=1"),
        format!("token={access}&client_id={client_id}&client_secret={secret}"),
        format!("token={}&client_id={client_id}&client_secret={access}", broken(access)),
    ] {
        for authorization in [&bearer, &basic, &format!("{secret} {access}")] {
            let headers =
                [("authorization", &**authorization), ("content-type", "application/x-www-form-urlencoded")];
            journal.ask("POST", &format!("/oauth2/introspect?scope={secret}"), &headers, &form);
            journal.ask("POST", "/oauth2/introspect", &headers, &form);
            let other = form.replace(access, &broken(access));
            journal.ask("POST", "/oauth2/revoke", &headers, &other);
        }
    }
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    journal.ask("POST", "/oauth2/revoke", &headers, &format!("token={ended}"));
}

/// Clients do put secrets into our URLs.
fn put_into_urls(journal: &mut Journal, secret: &str) {
    let tokens = tokens();
    for target in [
        format!("/v1/Accounts/me/accessTokens?access_token={secret}"),
        format!("/v1/Accounts/{ACCOUNT}/accessTokens?access_token={secret}&access_token=x{secret}"),
        format!("{tokens}?access_token={secret}"),
        format!("/authz?access_token={secret}"),
        format!("/authz?{secret}=1"),
        format!("/authz?scope={secret}&account={secret}"),
        format!("/authz/{secret}?token={secret}"),
        format!("/{secret}"),
        format!("/console?token={secret}"),
    ] {
        for method in ["GET", "POST"] {
            journal.ask(method, &target, &[], "");
        }
    }
    for target in [
        format!("/v1/Accounts/{ACCOUNT}/accessTokens/{secret}"),
        format!("/v1/Accounts/{ACCOUNT}/accesstokens/%22{secret}%22"),
        format!("/V1/accounts/{secret}/accessTokens/{secret}/"),
        format!("/v1/Accounts/me/accessTokens?filter=%7B%22where%22:%22{secret}%22%7D"),
        format!("/v1/Accounts/me/accessTokens?filter={secret}"),
        format!("/v1/Accounts/me/accessTokens?filter[where][id]={secret}&filter[limit]=x{secret}"),
        format!("/v1/Accounts/me/accessTokens?filter[where][id][regexp]=({secret}"),
        format!(
            "/v1/Accounts/me/accessTokens?filter[where][{secret}][inq]={secret}&filter[order]=id+{secret}"
        ),
        format!("/v1/Accounts/me/accessTokens?filter[include]={secret}&filter[{secret}=1"),
        format!("/v1/{secret}"),
        format!("/v1/Accounts/{secret}"),
        format!("/v1/accounts/{secret}/organizations/count"),
        format!("/v1/Accounts/is-unique?email={secret}"),
        format!("/v1/Accounts/is-unique?email={secret}@example.com"),
        format!("/v1/Accounts/login?email={secret}&password={secret}&include={secret}"),
        format!("/v1/Accounts/confirm?token={secret}&uid={secret}"),
        format!("/v1/Accounts/reset-password?access_token={secret}"),
        format!("/v1/Accounts?filter[limit]={secret}"),
        format!("/v1/Accounts/me/accessTokens/{secret}?descendants={secret}"),
        format!("/v1/Organizations/{secret}"),
        format!("/v1/organizations/{secret}/invite"),
        format!("/v1/Organizations/{secret}/accountorganizations?filter={secret}"),
        format!("/v1/Accounts/{secret}/accountorganizations"),
        format!("/v1/AccountOrganizations/{secret}"),
        format!("/v1/AccountOrganizations/{secret}/accept"),
        format!("/v1/AccountOrganizations/{secret}/{secret}"),
        format!("/v1/Accounts/me/accessTokens/%{secret}"),
        format!("{tokens}/{secret}"),
        format!("{tokens}/{secret}/rotate"),
        format!("{tokens}?page={secret}"),
        format!("{tokens}?search={secret}&per_page={secret}"),
        format!("/accounts/{secret}/access/service_tokens/{secret}/refresh"),
        format!("/client/v4/{secret}"),
        format!("/api/v1/{secret}"),
        format!("/api/v1/audit?token={secret}"),
        format!("/api/v1/audit?{secret}=1"),
        format!("/api/v1/usage?token={secret}"),
        format!("/oauth2/introspect?token={secret}"),
        format!("/openapi/{secret}"),
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", secret] {
            journal.ask_as_root(method, &target, "");
        }
    }
    // Proxies say where their clients wanted to go.
    let wanted = format!("/app?token={secret}");
    for header in
        ["x-original-uri", "x-original-url", "x-forwarded-uri", "x-countersign-demand", "connection"]
    {
        journal.ask("GET", "/authz", &[(header, &wanted), ("x-original-method", secret)], "");
    }
}

/// Bodies that are no JSON, not the right JSON, and have the secret where nobody expects it.
fn put_into_bodies(journal: &mut Journal, secret: &str) {
    let one = format!("{}/0192f3c4-a5b6-7c8d-9e0f-1a2b3c4d5e6f", tokens());
    for (method, target) in [
        ("POST", tokens()),
        ("PUT", one.clone()),
        ("POST", format!("{one}/rotate")),
        ("POST", format!("{one}/refresh")),
        ("POST", "/v1/Accounts/me/accessTokens".to_owned()),
        ("POST", "/v1/Accounts".to_owned()),
        ("PATCH", "/v1/Accounts/me".to_owned()),
        ("POST", "/v1/Accounts/login".to_owned()),
        ("POST", "/v1/Accounts/impersonate".to_owned()),
        ("POST", "/v1/Accounts/change-password".to_owned()),
        ("POST", "/v1/Accounts/me/organizations".to_owned()),
        ("POST", "/v1/Organizations/0192f3c4a5b67c8d9e0f1a2b3c4d5e6f/invite".to_owned()),
        ("POST", "/v1/AccountOrganizations/0192f3c4a5b67c8d9e0f1a2b3c4d5e6f/change-role".to_owned()),
        ("POST", "/api/v1/verify".to_owned()),
    ] {
        for body in [
            format!("{{\"name\":\"{secret}"),
            format!("{{{secret}}}"),
            format!("\"{secret}\""),
            format!("[\"{secret}\"]"),
            format!("token={secret}"),
            format!("\u{feff}{{\"name\":\"{secret}\"}}"),
            format!("{{\"name\":\"x\",\"{secret}\":1,\"{secret}\":2}}"),
            format!("{{\"{secret}\":{{\"a\":1,\"a\":2}}}}"),
            format!("{{\"{secret}\":1}}"),
            format!("{{\"name\":{{\"{secret}\":1}}}}"),
        ] {
            journal.ask_as_root(method, &target, &body);
        }
    }
    let bearer = format!("Bearer {}", journal.root());
    let form = [("authorization", &*bearer), ("content-type", "application/x-www-form-urlencoded")];
    for body in [
        format!("{secret}=1&ttl={secret}"),
        format!("scopes={secret}"),
        format!("scopes[]={secret}+"),
        format!("{secret}[a=1"),
        format!("{secret}=1&{secret}[{secret}]=2"),
    ] {
        journal.ask("POST", "/v1/Accounts/me/accessTokens", &form, &body);
    }
}

fn use_command_line(journal: &mut Journal, server: &Server, root: &str) {
    let run = |journal: &mut Journal, arguments: &[&str], stdin: &str| {
        let output = server.cli_as(root, arguments.iter().copied(), stdin);
        journal.note_output(&arguments.join(" "), &output)
    };
    let issued = run(journal, &["service-token", "issue", "--name", "by command", "--json"], "");
    let token = journal.json_with_secret(&issued, "client_secret");
    let text = |field: &str| token[field].as_str().expect("a text").to_owned();
    let (id, client_id, secret) = (text("id"), text("client_id"), text("client_secret"));
    let rotated = run(journal, &["service-token", "rotate", &id, "--overlap", "1h"], "");
    journal.only_secret(&rotated);
    let issued = run(journal, &["access-token", "issue", "--ttl", "60"], "");
    let access = journal.only_secret(&issued);
    let create = ["account", "create", "eve@example.com", "--json", "--password-file", "-"];
    let output = server.cli_as(root, create, PASSWORD);
    journal.note_output("account create", &output);
    let account: Value = serde_json::from_slice(&output.stdout).expect("JSON on standard output");
    let account = account["id"].as_str().expect("an id").to_owned();
    let issued = run(journal, &["account", "impersonate", &account, "--ttl", "60"], "");
    let acting = journal.only_secret(&issued);
    for (arguments, stdin) in [
        (&["verify", "--client-id", &client_id][..], &*secret),
        (&["account", "create", "eve@example.com", "--password-file", "-"], PASSWORD),
        (&["account", "create", PASSWORD], ""),
        (&["account", "show", &account], ""),
        (&["account", "list"], ""),
        (&["access-token", "list", "--account", &account], ""),
        (&["access-token", "revoke", "--descendants", "--account", &account, "-"], &acting),
        (&["access-token", "revoke-all", "--account", &account], ""),
        (&["organization", "create", "an organization", "--account", &account], ""),
        (&["organization", "list", "--account", &account], ""),
        (&["account", "delete", &account], ""),
        (&["verify", "--client-id", &client_id, "--json"], &secret),
        (&["verify", "--client-id", &client_id], &broken(&secret)),
        (&["verify", "--token-stdin"], &access),
        (&["service-token", "list"], ""),
        (&["service-token", "list", "--json"], ""),
        (&["service-token", "show", &id], ""),
        (&["access-token", "list"], ""),
        (&["access-token", "revoke", "-"], &access),
        (&["service-token", "revoke", &id], ""),
        (&["audit"], ""),
        (&["audit", "--json"], ""),
        (&["config", "show"], ""),
    ] {
        run(journal, arguments, stdin);
    }
    // As somebody whose token is none.
    let output = server.cli_as(&secret, ["service-token", "list"], "");
    journal.note_output("service-token list, as a stranger", &output);
}

fn read_what_was_recorded(journal: &mut Journal, service: &ServiceToken, access: &str) {
    for token in [service.id.as_str(), &access[..22]] {
        journal.ask_as_root("GET", &format!("/api/v1/usage?token={token}"), "");
    }
    let mut target = "/api/v1/audit?limit=1000".to_owned();
    while let Some(cursor) = journal.ask_as_root("GET", &target, "").json()["next_cursor"].as_str() {
        target = format!("/api/v1/audit?limit=1000&cursor={cursor}");
    }
    let metrics = journal.ask("GET", "/metrics", &[], "");
    assert!(metrics.text().contains("# EOF"), "{}", metrics.text());
    journal.ask("GET", "/readyz", &[], "");
}

fn check_log(journal: &Journal, data: &Data, log: &str) {
    assert!(!private_keys(data).iter().any(|key| has(log.as_bytes(), key)), "the log has a private key");
    assert!(
        log.contains("refused at the door") && log.contains("accessTokens/{fk}"),
        "nothing is in the log"
    );
    journal.check("the log", log);
}

/// No secret is in any file or in the database, but the root token in its own file.
fn check_files(journal: &Journal, data: &Data, root_token_file: Option<&str>) {
    let mut all =
        data.database().map(|database| database.dump().expect("all that is in it")).unwrap_or_default();
    journal.check("the database", &all);
    let keys = private_keys(data);
    for entry in fs::read_dir(data.path()).into_iter().flatten() {
        let path = entry.expect("a file").path();
        let bytes = fs::read(&path).expect("a file");
        assert!(!keys.iter().any(|key| has(&bytes, key)), "{} has a private key", path.display());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if root_token_file.is_some_and(|name| path.ends_with(name)) {
            assert_eq!(text, format!("{}\n", journal.root()));
            continue;
        }
        journal.check(&path.display().to_string(), &text);
        all.push_str(&text);
    }
    assert!(all.contains(WITNESS), "not even what must be there was found");
}
