//! Servers that die, stand still, or take no changes any more.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use countersign_domain::account::Account;
use countersign_domain::error::causes;
use countersign_domain::store::StoreError;
use countersign_postgres_cluster::{Cluster, Stop};
use countersign_store_conformance::world::{World, must};
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{sleep, timeout};
use tokio_postgres::NoTls;

use super::proxy::{Cut, Proxy};
use super::{assert_says, execute, refusal, world_at};

/// How soon everything works again.
const SOON: Duration = Duration::from_secs(5);

/// Those that requests use, those that follow and tell, and the one that listens.
const MOST_SESSIONS: usize = 16 + 3 + 1;

fn cluster(settings: &[&str]) -> Cluster {
    must(block_in_place(|| Cluster::start(settings)))
}

/// Changes something until that works; gives why it did not.
async fn works_soon(world: &World) -> Vec<String> {
    let since = Instant::now();
    let mut failures = Vec::new();
    loop {
        let changed = timeout(SOON, world.create_exactly(world.account(&world.root))).await;
        let error = match must(changed) {
            Ok(_) => break,
            Err(error) => error,
        };
        assert!(matches!(error, StoreError::Unavailable(_) | StoreError::InDoubt(_)), "{error:?}");
        assert!(since.elapsed() < SOON, "{error:?}");
        failures.push(causes(&error));
        sleep(Duration::from_millis(20)).await;
    }
    assert!(since.elapsed() < SOON, "works after {:?}", since.elapsed());
    failures
}

/// As many sessions as a node may have.
async fn use_every_session(world: &World) {
    let mut readers = JoinSet::new();
    for _ in 0..64 {
        let store = world.store.clone();
        readers.spawn(async move { must(store.check().await) });
    }
    readers.join_all().await;
}

async fn sessions(cluster: &Cluster) -> usize {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'countersign'";
    number(cluster, sql).await
}

/// The number that a query gives.
async fn number(cluster: &Cluster, sql: &str) -> usize {
    must(execute(&cluster.url(), sql).await.unwrap_or_default().parse())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_is_used_again() {
    let mut cluster = cluster(&[]);
    let world = world_at(&cluster.url()).await;
    for _ in 0..2 {
        use_every_session(&world).await;
        must(block_in_place(|| cluster.stop(Stop::Immediate)));
        let error = world.store.check().await.expect_err("a dead server");
        assert_says(&causes(&error), &[&format!("127.0.0.1:{}", cluster.port()), "cannot be reached"]);
        must(block_in_place(|| cluster.resume()));
        works_soon(&world).await;
        use_every_session(&world).await;
        assert!((1..=MOST_SESSIONS).contains(&sessions(&cluster).await));
    }
    drop(world);
    let since = Instant::now();
    while sessions(&cluster).await > 0 {
        assert!(since.elapsed() < SOON, "sessions are left");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Sessions that the server has ended are not lent.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_were_ended_are_replaced_unnoticed() {
    let cluster = cluster(&["fsync=off"]);
    let world = world_at(&cluster.url()).await;
    use_every_session(&world).await;
    let sql = "SELECT count(pg_terminate_backend(pid, 1000)) FROM pg_stat_activity \
               WHERE application_name = 'countersign' AND state = 'idle'";
    let ended = number(&cluster, sql).await;
    assert!(ended > 1, "{ended}");
    use_every_session(&world).await;
}

/// A server, and a standby that has whatever was acknowledged.
async fn primary_and_standby() -> (Cluster, Cluster) {
    let primary = cluster(&["fsync=off"]);
    let standby = must(block_in_place(|| primary.standby(&["fsync=off"])));
    execute(&primary.url(), "ALTER SYSTEM SET synchronous_standby_names = '*'").await;
    execute(&primary.url(), "ALTER SYSTEM SET synchronous_commit = remote_apply").await;
    execute(&primary.url(), "SELECT pg_reload_conf()").await;
    (primary, standby)
}

fn url_of(ports: &[u16]) -> String {
    let hosts: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("postgres://countersign@{}/postgres", hosts.join(","))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_that_takes_changes_is_found_and_followed() {
    let (mut primary, standby) = primary_and_standby().await;
    let dead = must(must(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).local_addr()).port();
    assert_says(&refusal(&standby.url()).await, &["takes no changes", "name the primary"]);
    let world = world_at(&url_of(&[dead, standby.port(), primary.port()])).await;
    use_every_session(&world).await;

    must(block_in_place(|| primary.stop(Stop::Immediate)));
    must(block_in_place(|| standby.promote()));
    works_soon(&world).await;
}

/// A primary that was fenced keeps its sessions, which take no changes any more: who uses one learns it, once.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_take_no_changes_any_more_are_left() {
    let (fenced, standby) = primary_and_standby().await;
    let world = world_at(&url_of(&[fenced.port(), standby.port()])).await;
    use_every_session(&world).await;

    execute(&fenced.url(), "ALTER SYSTEM RESET synchronous_standby_names").await;
    must(block_in_place(|| standby.promote()));
    execute(&fenced.url(), "ALTER SYSTEM SET default_transaction_read_only = on").await;
    execute(&fenced.url(), "SELECT pg_reload_conf()").await;
    let failures = works_soon(&world).await;
    assert!(failures.len() <= 1, "{failures:#?}");
}

/// Sessions at rest, while the peer takes what is sent and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_stands_still_is_left() {
    let cluster = cluster(&["fsync=off"]);
    let proxy = Proxy::before(cluster.port()).await;
    let world = world_at(&url_of(&[proxy.port(), cluster.port()])).await;
    use_every_session(&world).await;
    // What was used just now is not looked at before it is used again.
    sleep(Duration::from_millis(300)).await;
    proxy.hang();
    works_soon(&world).await;
}

/// As above, while a statement is on its way: it ends soon after the server would have ended it.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_comes_is_given_up() {
    let cluster = cluster(&["fsync=off"]);
    let proxy = Proxy::before(cluster.port()).await;
    let hosts = url_of(&[proxy.port(), cluster.port()]);
    let world = world_at(&format!("{hosts}?options=-c%20statement_timeout%3D1s")).await;

    let (client, connection) = must(tokio_postgres::connect(&cluster.url(), NoTls).await);
    let connection = tokio::spawn(connection);
    must(client.batch_execute("BEGIN; LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE").await);
    let waiting = world.create_exactly(world.account(&world.root));
    let hanging = async {
        sleep(Duration::from_millis(300)).await;
        proxy.hang();
    };
    let (outcome, ()) = tokio::join!(timeout(SOON, waiting), hanging);
    let outcome = must(outcome);
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    drop(client);
    must(must(connection.await));
    works_soon(&world).await;
}

/// How often the account is there, asked without a detour.
async fn rows(cluster: &Cluster, account: &Account) -> usize {
    number(cluster, &format!("SELECT count(*) FROM accounts WHERE email = '{}'", account.email.as_str()))
        .await
}

/// A node behind the proxy, which has learnt everything.
async fn node_behind(proxy: &Proxy) -> World {
    let world = world_at(&url_of(&[proxy.port()])).await;
    must(world.store.load_facts(Box::new(|_| ())).await);
    world
}

/// A connection breaks while it carries a commit. What became of it is found out: what is there is acknowledged, and what
/// is not is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_cut_is_found_out() {
    let cluster = cluster(&["fsync=off"]);
    let proxy = Proxy::before(cluster.port()).await;
    let world = node_behind(&proxy).await;
    for cut in [Cut::Before, Cut::After].repeat(5) {
        let account = world.account(&world.root);
        proxy.cut_commit_of(account.email.as_str(), cut);
        let created = world.create_exactly(account.clone()).await;
        assert!(proxy.has_cut());
        match (cut, &created) {
            (Cut::Before, Err(StoreError::Unavailable(_))) => assert_eq!(rows(&cluster, &account).await, 0),
            (Cut::After, Ok(_)) => assert_eq!(rows(&cluster, &account).await, 1),
            _ => panic!("{cut:?}: {created:?}"),
        }
    }
    works_soon(&world).await;
}

/// As above, where nobody can be asked any more: then nothing is claimed.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_can_tell_of_is_in_doubt() {
    let cluster = cluster(&["fsync=off"]);
    let proxy = Proxy::before(cluster.port()).await;
    let world = node_behind(&proxy).await;
    let account = world.account(&world.root);
    proxy.cut_commit_of(account.email.as_str(), Cut::AfterAll);
    let created = world.create_exactly(account.clone()).await;
    assert!(proxy.has_cut());
    assert!(matches!(created, Err(StoreError::InDoubt(_))), "{created:?}");
    proxy.go_on();
    must(
        timeout(SOON, async { while world.create_exactly(world.account(&world.root)).await.is_err() {} })
            .await,
    );
    assert_eq!(rows(&cluster, &account).await, 1);
}

/// Reading everything takes as long as it takes, whatever the limit of other statements is.
#[tokio::test(flavor = "multi_thread")]
async fn everything_is_read_however_long_that_takes() {
    let cluster = cluster(&["fsync=off"]);
    let world = world_at(&format!("{}?options=-c%20statement_timeout%3D300ms", cluster.url())).await;
    for table in ["access_tokens", "uses"] {
        let (client, connection) = must(tokio_postgres::connect(&cluster.url(), NoTls).await);
        let connection = tokio::spawn(connection);
        must(client.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await);
        let held = async {
            sleep(Duration::from_secs(1)).await;
            drop(client);
            must(must(connection.await));
        };
        let read = async {
            must(world.store.load_facts(Box::new(|_| ())).await);
            must(world.store.load_used_secrets(Box::new(|_, _| ())).await);
        };
        tokio::join!(read, held);
    }
}
