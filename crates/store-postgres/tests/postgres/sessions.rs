//! Sessions with the database: to whom they are opened, and what becomes of the store when they fail.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign_domain::account::Account;
use countersign_domain::change::Mutation;
use countersign_domain::error::causes;
use countersign_postgres_cluster::{Cluster, PgBouncer, PoolMode};
use countersign_store_conformance::doubles::NullSink;
use countersign_store_conformance::world::{Made, World, must};
use countersign_store_postgres::{Address, PostgresStore};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use self::certificates::Authority;
use super::options_at;

mod certificates;
mod failing;
mod proxy;

/// Needs escapes in a URL and in a passfile.
const PASSWORD: &str = r"p@ss:w/rd%\";

/// Runs a statement on a server, as its owner; gives the first value.
async fn execute(url: &str, sql: &str) -> Option<String> {
    let (client, connection) = must(tokio_postgres::connect(url, NoTls).await);
    let connection = tokio::spawn(connection);
    let answer = must(client.simple_query(sql).await);
    drop(client);
    must(must(connection.await));
    answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}

/// A store with a root account at this address.
async fn world_at(url: &str) -> World {
    let options = options_at(url);
    World::new(&|sink| {
        let open = PostgresStore::open(options.clone(), sink);
        let store = must(block_in_place(|| Handle::current().block_on(open)));
        Made { store: Arc::new(store), keep: Box::new(()) }
    })
    .await
}

/// The line that says why no store can be opened at this address.
async fn refusal(url: &str) -> String {
    let options = options_at(url);
    let line = match PostgresStore::open(options.clone(), Arc::new(NullSink)).await {
        Ok(_) => panic!("opened"),
        Err(error) => causes(&error),
    };
    assert!(!line.contains('\n') && line.len() < 400, "{line}");
    for text in [&line, &format!("{options:?}"), &options.address.to_string()] {
        assert!(!text.contains("p@ss") && !text.contains("p%40ss"), "{text}");
    }
    line
}

#[track_caller]
fn assert_says(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "{line:?} does not say {part:?}");
    }
}

/// A file that only its owner can read.
fn private(directory: &Path, name: &str, content: &str) -> PathBuf {
    let path = directory.join(name);
    must(fs::write(&path, content));
    must(fs::set_permissions(&path, Permissions::from_mode(0o600)));
    path
}

/// Files of a client, and a server that lets in only who shows a certificate.
struct Certified {
    files: TempDir,
    cluster: Cluster,
}

impl Certified {
    fn start() -> Self {
        let (ours, stranger) = (Authority::new("ours"), Authority::new("a stranger"));
        let cluster = must(Cluster::prepare(&["fsync=off", "ssl=on", "ssl_ca_file=ca.crt"]));
        let (certificate, key) = ours.issue("a server", &["localhost"]);
        must(cluster.put("server.crt", &certificate));
        must(cluster.put("server.key", &key));
        must(cluster.put("ca.crt", &ours.certificate()));
        must(cluster.put("pg_hba.conf", "hostssl all all 127.0.0.1/32 cert\n"));
        let files = must(tempfile::tempdir());
        for (name, authority) in [("ours", &ours), ("stranger", &stranger)] {
            private(files.path(), &format!("{name}.ca"), &authority.certificate());
            let (certificate, key) = authority.issue("countersign", &[]);
            private(files.path(), &format!("{name}.crt"), &certificate);
            private(files.path(), &format!("{name}.key"), &key);
        }
        let mut certified = Self { files, cluster };
        must(certified.cluster.resume());
        certified
    }

    fn path(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    fn url(&self, host: &str, ca: &str) -> String {
        let (port, ca) = (self.cluster.port(), self.path(ca));
        format!("postgres://countersign@{host}:{port}/postgres?sslmode=verify-full&sslrootcert={ca}")
    }

    fn with_client(&self, url: &str, client: &str) -> String {
        let [certificate, key] = ["crt", "key"].map(|end| self.path(&format!("{client}.{end}")));
        format!("{url}&sslcert={certificate}&sslkey={key}")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_with_the_host_that_is_meant() {
    let server = block_in_place(Certified::start);
    let good = server.url("localhost", "ours.ca");
    world_at(&server.with_client(&good, "ours")).await;

    let refused = async |url: &str, parts: &[&str]| assert_says(&refusal(url).await, parts);
    let host = format!("localhost:{}", server.cluster.port());
    let stranger = server.with_client(&server.url("localhost", "stranger.ca"), "ours");
    refused(&stranger, &[&host, "an authority that is not trusted", "sslrootcert"]).await;
    let by_the_system = good.split("&sslrootcert").next().expect("an address");
    refused(by_the_system, &["an authority that is not trusted"]).await;
    let address = server.with_client(&server.url("127.0.0.1", "ours.ca"), "ours");
    refused(&address, &["127.0.0.1:", "does not have this name"]).await;
    refused(&good, &["certificate", "sslcert"]).await;
    refused(&server.with_client(&good, "stranger"), &["UnknownCA", "sslcert"]).await;
    let plain = good.replace("verify-full", "disable");
    refused(&plain, &["does not let this user in", "no encryption", "pg_hba.conf"]).await;

    let key = server.path("ours.key");
    must(fs::set_permissions(&key, Permissions::from_mode(0o644)));
    refused(&server.with_client(&good, "ours"), &["sslkey", &key, "chmod 600"]).await;
    private(server.files.path(), "ours.key", "nothing\n");
    refused(&server.with_client(&good, "ours"), &["sslkey", &key, "PEM"]).await;
    must(fs::copy(server.path("stranger.key"), &key));
    refused(&server.with_client(&good, "ours"), &["sslkey", &key, "does not belong"]).await;
    let missing = server.url("localhost", "nobody.ca");
    refused(&missing, &["sslrootcert", "nobody.ca", "cannot be read"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_named() {
    let cluster = must(block_in_place(|| Cluster::start(&["fsync=off"])));
    let line = refusal(&format!("{}?sslmode=verify-full", cluster.url())).await;
    assert_says(&line, &["does not speak TLS", "ssl = on", "sslmode=disable"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_come_from_the_address_or_a_passfile() {
    let cluster = must(block_in_place(|| Cluster::start(&["fsync=off"])));
    must(cluster.put("pg_hba.conf", "host all all 127.0.0.1/32 scram-sha-256\n"));
    execute(
        &cluster.url(),
        &format!("ALTER ROLE countersign PASSWORD '{PASSWORD}'; SELECT pg_reload_conf()"),
    )
    .await;
    let port = cluster.port();
    let with = |password: &str| format!("postgres://countersign{password}@127.0.0.1:{port}/postgres");
    let right = with(":p%40ss%3Aw%2Frd%25%5C");

    // Once the server has read its file.
    while PostgresStore::open(options_at(&with("")), Arc::new(NullSink)).await.is_ok() {}
    drop(world_at(&right).await);
    assert_says(&refusal(&with("")).await, &["asks for a password", "passfile"]);
    assert_says(&refusal(&with(":p%40ss")).await, &["does not accept the password"]);
    let nowhere = right.replace("/postgres", "/nowhere").replace("nowhere:", "postgres:");
    assert_says(&refusal(&nowhere).await, &["no such database", "nowhere", "create it"]);

    let files = must(tempfile::tempdir());
    let line = format!("127.0.0.1:{port}:*:countersign:{}\n", r"p@ss\:w/rd%\\");
    let path = private(files.path(), "pass", &format!("# ours\n{line}"));
    let by_file = format!("{}?passfile={}", with(""), path.display());
    must(PostgresStore::open(options_at(&by_file), Arc::new(NullSink)).await);
    must(fs::set_permissions(&path, Permissions::from_mode(0o440)));
    let line_about_others = ["passfile", "others can read it", "chmod 600"];
    match must(fs::metadata(&path)).uid() {
        // As systemd hands it over.
        0 => drop(must(PostgresStore::open(options_at(&by_file), Arc::new(NullSink)).await)),
        _ => assert_says(&refusal(&by_file).await, &line_about_others),
    }
    must(fs::set_permissions(&path, Permissions::from_mode(0o604)));
    assert_says(&refusal(&by_file).await, &line_about_others);
    private(files.path(), "pass", &line.replace("countersign", "somebody"));
    assert_says(&refusal(&by_file).await, &["asks for a password"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_make_tables_is_told() {
    let cluster = must(block_in_place(|| Cluster::start(&["fsync=off"])));
    execute(&cluster.url(), "CREATE ROLE reader LOGIN").await;
    let url = cluster.url().replace("countersign@", "reader@");
    assert_says(&refusal(&url).await, &["permission denied", "CREATE"]);
}

/// What is acknowledged must not be undone by a crash, nor be lost with the primary.
#[tokio::test(flavor = "multi_thread")]
async fn commits_that_are_not_durable_are_refused() {
    let cluster = must(block_in_place(|| Cluster::start(&["fsync=off"])));
    for setting in ["off", "local"] {
        let setting = format!("synchronous_commit = {setting}");
        execute(&cluster.url(), &format!("ALTER ROLE countersign SET {setting}")).await;
        assert_says(&refusal(&cluster.url()).await, &[&setting, "ALTER ROLE"]);
    }
    execute(&cluster.url(), "ALTER ROLE countersign SET synchronous_commit = remote_apply").await;
    world_at(&cluster.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_keeps_sessions_or_is_refused() {
    let cluster = must(block_in_place(|| Cluster::start(&["fsync=off"])));
    let pooler = must(block_in_place(|| PgBouncer::start(&cluster, PoolMode::Transaction)));
    assert_says(&refusal(&pooler.url()).await, &["pooler", "pool_mode = session"]);
    let with_options = format!("{}?options=-c%20search_path%3Dpublic", pooler.url());
    assert_says(&refusal(&with_options).await, &["pooler", "options"]);

    let pooler = must(block_in_place(|| PgBouncer::start(&cluster, PoolMode::Session)));
    let world = world_at(&pooler.url()).await;
    let account = world.create_account(&world.root).await;
    world.apply_all((0..200).map(|_| issue(&world, &account))).await;
    assert_eq!(world.page(&account, 0, 1000).await.total, 200);
}

fn issue(world: &World, account: &Account) -> Mutation {
    let token = world.service_token(account, "through a pooler");
    Mutation::IssueServiceToken { token, limit: 1000 }
}

/// Whatever is wrong with an address, its password is not in what is said about it.
#[test]
fn addresses_tell_no_secrets() {
    for address in [
        "postgres://u:secret@h/d",
        "postgres://u:sec/ret@h/d",
        "postgres://u:5/secret@h/d",
        "postgres://u:s?secret=1@h/d",
        "postgres://u:secret@h:secret/d",
        "postgres://u@h/d?passwort=secret",
        "postgres://u@h/d?password=secret&sslmode=secret",
        "postgres://u@h/d?password=secret&connect_timeout=secret",
        "host=h password=my secret=1",
        "host=h password='secret",
        "secret",
    ] {
        let parsed = address.parse::<Address>();
        assert!(!format!("{parsed:?}").contains("secret"), "{parsed:?}");
        let line = parsed.map_or_else(|error| error.to_string(), |address| address.to_string());
        assert!(!line.contains("secret"), "{line}");
    }
}
