//! What a real LoopBack 3 answered (`loopback-golden.json`, a part of the recorded cases), asked of us in the same order.
//!
//! Every recorded case has a verdict ([`verdicts`]). What we answer is what was recorded, or what [`differences`] says
//! and why; a case that is in neither, and a difference that is none, fail. What is different everywhere is said here
//! once, and done by [`scene`] and [`shape`]:
//!
//! - The recorder's paths have no `/v1`.
//! - Its own route `/Accounts/ping`, which tells whether a token is good, is `/Accounts/authorized` here, and its
//!   `{"ok":true}` is the account of the token.
//! - An account shows more properties than the recorder's, which had only `id` and `email`. Its id is 32 hex digits.
//! - A token's text stands in the answer of the request that made it, and nowhere else: where LoopBack repeats it, in
//!   lists and messages, there is its handle (B9).
//! - Every answer is `application/json` with `Cache-Control: no-store`, and has no entity tag (B7, B13).
//!
//! Cases of the mode `open` are left out: they were recorded with methods opened that the vendor does not document, and
//! that are not here.

mod differences;
mod recording;
mod scene;
mod shape;
mod verdicts;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::Answer;
use differences::{DIFFERENCES, Difference};
use recording::{Case, recording};
use scene::Scene;
use shape::{Seen, fits};
use verdicts::{VERDICTS, Verdict};

#[tokio::test]
async fn as_loopback_answered() {
    let mut scene = Scene::new().await;
    let mut wrong = Vec::new();
    let mut replayed = 0;
    for case in recording() {
        let is_deep = case.mode == "deep";
        match case.mode.as_str() {
            "documented" | "deep" => {}
            "open" => continue,
            other => panic!("{}: what is the mode {other}?", case.id),
        }
        // These two end a process: a server that has answered all the others is asked them last.
        assert!(!is_deep || replayed >= 167, "{} comes too early", case.id);
        scene.prepare(&case).await;
        let answer = scene.ask(&case).await;
        assert_own_manners(&case, &answer);
        if let Err(why) = judge(&mut scene.seen, &case, &answer) {
            let short = |text: &str| text.chars().take(600).collect::<String>();
            let (why, body) = (short(&why), short(&answer.body));
            wrong.push(format!("{} ({}): {why}\n    {} {body}", case.id, case.title, answer.status));
        }
        replayed += 1;
    }
    assert!(wrong.is_empty(), "{} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(replayed, 169);
}

/// Whether an answer is the one that the tables promise.
fn judge(seen: &mut Seen, case: &Case, answer: &Answer) -> Result<(), String> {
    let verdict = verdict(&case.id);
    let as_recorded = |seen: &mut Seen| {
        if answer.status != case.status {
            return Err(format!("recorded is {}", case.status));
        }
        if verdict == Verdict::KeepStatus { Ok(()) } else { fits(seen, case, case.body.as_ref(), answer) }
    };
    let Some(difference) = difference(&case.id) else { return as_recorded(seen) };
    if as_recorded(&mut seen.clone()).is_ok() {
        return Err("is as recorded: take it out of the differences".into());
    }
    if answer.status != difference.status {
        return Err(format!("is to be {}: {}", difference.status, difference.reason));
    }
    fits(seen, case, difference.body().as_ref(), answer)
        .map_err(|why| format!("{why}: {}", difference.reason))
}

/// What every answer of ours has, whatever was recorded.
fn assert_own_manners(case: &Case, answer: &Answer) {
    assert_eq!(answer.header("cache-control"), "no-store", "{}: {answer:?}", case.id);
    assert_eq!(answer.header("etag"), "", "{}", case.id);
    assert!(!answer.body.contains("Secret!1"), "{}: a password: {answer:?}", case.id);
    if answer.body.is_empty() {
        return;
    }
    assert_eq!(answer.header("content-type"), "application/json", "{}", case.id);
    let error = &answer.json()["error"];
    if answer.status.is_success() {
        assert!(error.is_null(), "{}: {answer:?}", case.id);
    } else {
        assert_eq!(error["statusCode"], Value::from(answer.status.as_u16()), "{}: {answer:?}", case.id);
        assert!(error["name"].is_string() && error["message"].is_string(), "{}: {answer:?}", case.id);
    }
}

fn verdict(id: &str) -> Verdict {
    let mut found = VERDICTS.iter().filter(|(_, ids)| ids.contains(&id));
    let (Some((verdict, _)), None) = (found.next(), found.next()) else {
        panic!("{id} needs one verdict: see section 4 of space-invoices-loopback.md")
    };
    *verdict
}

fn difference(id: &str) -> Option<&'static Difference> {
    DIFFERENCES.iter().find(|difference| difference.ids.contains(&id))
}

/// The tables name what was recorded, once, and say why.
#[test]
fn the_tables_fit_the_recording() {
    let replayed: BTreeSet<String> =
        recording().into_iter().filter(|case| case.mode != "open").map(|case| case.id).collect();
    let once = |table: &str, ids: Vec<&str>| {
        let set: BTreeSet<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(set.len(), ids.len(), "{table} has a case twice");
        let unknown: Vec<_> = set.difference(&replayed).collect();
        assert!(unknown.is_empty(), "{table} has cases that were not recorded: {unknown:?}");
        set
    };
    let judged = once("VERDICTS", VERDICTS.iter().flat_map(|(_, ids)| ids.iter().copied()).collect());
    assert_eq!(judged, replayed, "a verdict for every case");
    once("DIFFERENCES", DIFFERENCES.iter().flat_map(|difference| difference.ids.iter().copied()).collect());
    for difference in DIFFERENCES {
        assert!(difference.reason.len() > 10, "{:?} without a reason", difference.ids);
    }
}
