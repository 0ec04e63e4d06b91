//! What a store holds moves to another one: the model in between, as the other kind of store.

use std::sync::Arc;

use countersign_domain::archive::{Archive, Contents, ImportError, Measure, Record};
use countersign_domain::store::{Cause, ChangeSink, Revision, SharedStore};
use tokio::task::block_in_place;

use crate::doubles::{NullSink, RecordingSink};
use crate::model::ModelStore;
use crate::ops::{Dump, Step, dump, go_on};
use crate::world::must;

/// A store that is made of records, and how it is opened after that, again and again.
pub type Made = (Box<dyn Archive>, Box<dyn Fn(Arc<dyn ChangeSink>) -> SharedStore>);

/// Everything that an archive gives, and what it says it holds; these must agree.
pub fn export(archive: &mut dyn Archive) -> (Vec<Record>, Contents) {
    let mut records = Vec::new();
    let mut measure = Measure::default();
    let visit = &mut |record| {
        measure.add(&record);
        records.push(record);
        Ok(())
    };
    let contents = must(block_in_place(|| archive.export(visit)));
    assert_eq!(measure.contents(), Some(contents), "what was given is what is there");
    (records, contents)
}

/// Fills an archive; what it then says it holds must be `contents`.
pub fn import(archive: &mut dyn Archive, records: Vec<Record>, contents: &Contents) {
    let found = try_to_import(archive, records, &mut |found| {
        assert_eq!(found, contents, "what came is what is there");
        Ok(())
    });
    assert_eq!(must(found), *contents);
}

/// Fills an archive, or not. Blocks, as archives do; in a runtime of several threads.
pub fn try_to_import(
    archive: &mut dyn Archive,
    records: Vec<Record>,
    check: &mut dyn FnMut(&Contents) -> Result<(), Cause>,
) -> Result<Contents, ImportError> {
    block_in_place(|| archive.import(&mut records.into_iter(), check))
}

/// Moves what `from` holds to the model and from there to a new store, which `make` makes: an archive to fill, and how
/// the store is opened after that. Panics where something is not as before: in what is there, in the `dump`, or in what
/// comes of more steps.
pub async fn move_house(from: &mut dyn Archive, before: &Dump, steps: &[Step], make: impl FnOnce() -> Made) {
    let (records, contents) = export(from);
    let sink = Arc::new(RecordingSink::default());
    let mut model = ModelStore::new(sink.clone());
    import(&mut model, records.clone(), &contents);
    let (moved, again) = export(&mut model);
    assert_eq!((sorted(moved.clone()), again), (sorted(records), contents), "from the store to the model");

    let (mut to, open) = make();
    nothing_stays_of_what_is_cut_short(to.as_mut(), &moved);
    import(to.as_mut(), moved, &contents);
    let (exported, again) = export(to.as_mut());
    assert_eq!((sorted(exported), again), (sorted(export(&mut model).0), contents), "and to a store");
    let again = try_to_import(to.as_mut(), vec![Record::End(Revision(0))], &mut |_| Ok(()));
    assert!(matches!(again, Err(ImportError::NotEmpty)) == !contents.rows.is_empty(), "{again:?}");
    drop(to);

    let store = open(Arc::new(NullSink));
    assert_eq!(dump(&store).await, *before, "what can be read of it");
    drop(store);
    // As a store that was not loaded yet: it hears of nobody's changes but its own.
    let store_sink = Arc::new(RecordingSink::default());
    let (store, model): (SharedStore, SharedStore) = (open(store_sink.clone()), Arc::new(model));
    go_on(steps, 4, (&model, &sink), (&store, &store_sink)).await;
}

/// An import whose stream breaks, or whose outcome is refused, leaves an empty store.
fn nothing_stays_of_what_is_cut_short(archive: &mut dyn Archive, records: &[Record]) {
    let cut_short = records[..records.len() - 1].to_vec();
    let imported = try_to_import(archive, cut_short, &mut |_| Ok(()));
    assert!(matches!(imported, Err(ImportError::CutShort)), "{imported:?}");
    let imported = try_to_import(archive, records.to_vec(), &mut |_| Err("refused".into()));
    assert!(matches!(imported, Err(ImportError::Refused(_))), "{imported:?}");
    assert!(export(archive).1.rows.is_empty(), "something stayed");
}

/// In an order that does not depend on the store, but for what has one of its own.
fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    let place = |record: &Record| record.table().map_or(usize::MAX, |table| table as usize);
    records.sort_by_cached_key(|record| match record {
        Record::RootToken(_) | Record::Audit(_) => (place(record), String::new()),
        other => (place(record), format!("{other:?}")),
    });
    records
}
