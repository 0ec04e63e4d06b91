//! From one archive into another, and the comparison of both before it counts.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use countersign_domain::archive::{Archive, Contents, ImportError, Measure, Record};
use countersign_domain::error::causes;
use countersign_domain::store::{Cause, StoreError};

/// So many records are handed over together.
const TOGETHER: usize = 1_000;
/// And so many of these wait.
const WAITING: usize = 4;

/// Makes of a record what comes in its place.
pub(crate) type Change<'c> = &'c mut dyn FnMut(Record, &mut Vec<Record>);

/// Everything as it is.
pub(crate) fn unchanged(record: Record, out: &mut Vec<Record>) {
    out.push(record);
}

/// Copies everything from one archive into another one, which takes all of it or nothing; gives what the other one then
/// holds. Before that counts, three things must agree: what the one says it holds with what came of it, and what was
/// handed on with what the other one says it holds.
pub(crate) fn copy(
    from: &mut dyn Archive,
    to: &mut dyn Archive,
    change: Change<'_>,
) -> Result<Contents, ImportError> {
    let (records, arriving) = sync_channel(WAITING);
    let (came, went) = (RefCell::default(), RefCell::default());
    thread::scope(|scope| {
        let mut reading = Some(scope.spawn(move || read(from, &records)));
        let mut join = || match reading.take().map(thread::ScopedJoinHandle::join) {
            Some(Ok(read)) => read.map_err(|error| unreadable(&error)),
            _ => Err("reading has ended by a fault".into()),
        };
        let mut stream = Stream {
            arriving,
            batch: VecDeque::new(),
            next: VecDeque::new(),
            change,
            came: &came,
            went: &went,
        };
        let copied = to.import(&mut stream, &mut |found| {
            agree(&join()?, came.borrow().contents(), "while it was read")?;
            // Revisions may have been used up by what was not done.
            let wanted = went.borrow().contents();
            let wanted =
                wanted.map(|wanted| Contents { revision: wanted.revision.max(found.revision), ..wanted });
            agree(found, wanted, "after it was written")
        });
        // The reader, if it waits, goes on and finds nobody.
        drop(stream);
        match copied {
            Err(ImportError::CutShort) => {
                Err(join().err().map_or(ImportError::CutShort, ImportError::Refused))
            }
            copied => copied,
        }
    })
}

fn agree(found: &Contents, wanted: Option<Contents>, when: &str) -> Result<(), Cause> {
    let difference = wanted.map(|wanted| found.difference(&wanted));
    match difference {
        Some(None) => Ok(()),
        Some(Some(difference)) => Err(format!("the copy is not the same {when}: {difference}").into()),
        None => Err(format!("the copy has no end {when}").into()),
    }
}

fn unreadable(error: &StoreError) -> Cause {
    format!("cannot read all of it: {}", causes(error)).into()
}

fn read(from: &mut dyn Archive, to: &SyncSender<Vec<Record>>) -> Result<Contents, StoreError> {
    let mut batch = Vec::new();
    from.export(&mut |record| {
        let is_end = matches!(record, Record::End(_));
        batch.push(record);
        if is_end || batch.len() == TOGETHER {
            to.send(mem::take(&mut batch)).map_err(|_| "nobody takes it any more")?;
        }
        Ok(())
    })
}

/// What arrives, changed.
struct Stream<'s> {
    arriving: Receiver<Vec<Record>>,
    batch: VecDeque<Record>,
    next: VecDeque<Record>,
    change: Change<'s>,
    came: &'s RefCell<Measure>,
    went: &'s RefCell<Measure>,
}

impl Iterator for Stream<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        while self.next.is_empty() {
            if self.batch.is_empty() {
                self.batch = self.arriving.recv().ok()?.into();
            }
            let record = self.batch.pop_front()?;
            self.came.borrow_mut().add(&record);
            let mut changed = Vec::new();
            (self.change)(record, &mut changed);
            self.next = changed.into();
        }
        let record = self.next.pop_front()?;
        self.went.borrow_mut().add(&record);
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use countersign_domain::archive::RowCounts;
    use countersign_domain::fact_digest::FactHasher;
    use countersign_domain::id::Handle;
    use countersign_domain::store::Revision;

    use super::*;

    /// Holds records, and may lose one on the way in or out.
    #[derive(Default)]
    struct Shelf {
        records: Vec<Record>,
        loses: bool,
    }

    impl Shelf {
        fn contents(&self) -> Contents {
            let mut measure = Measure::default();
            self.records.iter().for_each(|record| measure.add(record));
            let digest = FactHasher::default().finish();
            let nothing = Contents { revision: Revision(0), rows: RowCounts::default(), digest };
            measure.contents().unwrap_or(nothing)
        }
    }

    impl Archive for Shelf {
        fn export(
            &mut self,
            visit: &mut dyn FnMut(Record) -> Result<(), Cause>,
        ) -> Result<Contents, StoreError> {
            let lost = usize::from(self.loses);
            self.records.iter().skip(lost).cloned().try_for_each(visit).map_err(StoreError::Unavailable)?;
            Ok(self.contents())
        }

        fn import(
            &mut self,
            records: &mut dyn Iterator<Item = Record>,
            check: &mut dyn FnMut(&Contents) -> Result<(), Cause>,
        ) -> Result<Contents, ImportError> {
            let came: Vec<Record> = records.skip(usize::from(self.loses)).collect();
            if !matches!(came.last(), Some(Record::End(_))) {
                return Err(ImportError::CutShort);
            }
            let filled = Self { records: came, loses: false };
            check(&filled.contents()).map_err(ImportError::Refused)?;
            *self = filled;
            Ok(self.contents())
        }
    }

    fn full(loses: bool) -> Shelf {
        let handle = |number: u32| format!("handle{number:016}").parse::<Handle>().ok();
        let mut records: Vec<_> = (0..2_500).filter_map(handle).map(Record::Cut).collect();
        records.push(Record::End(Revision(7)));
        Shelf { records, loses }
    }

    #[test]
    fn a_copy_is_the_same_or_does_not_count() {
        let mut to = Shelf::default();
        let copied = copy(&mut full(false), &mut to, &mut unchanged);
        assert_eq!(copied.ok(), Some(full(false).contents()));
        assert_eq!(to.records, full(false).records);
        for (from, to) in [(true, false), (false, true)] {
            let mut to = Shelf { records: Vec::new(), loses: to };
            let copied = copy(&mut full(from), &mut to, &mut unchanged);
            assert!(matches!(copied, Err(ImportError::Refused(_))), "{copied:?}");
            assert!(to.records.is_empty());
        }
    }

    #[test]
    fn who_cannot_be_read_is_named() {
        struct Broken;
        impl Archive for Broken {
            fn export(
                &mut self,
                _: &mut dyn FnMut(Record) -> Result<(), Cause>,
            ) -> Result<Contents, StoreError> {
                Err(StoreError::Unavailable("the disk is gone".into()))
            }
            fn import(
                &mut self,
                _: &mut dyn Iterator<Item = Record>,
                _: &mut dyn FnMut(&Contents) -> Result<(), Cause>,
            ) -> Result<Contents, ImportError> {
                Err(ImportError::NotEmpty)
            }
        }
        let mut to = Shelf::default();
        let copied = copy(&mut Broken, &mut to, &mut unchanged);
        let why = copied.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(why.contains("the disk is gone"), "{why}");
        // Whoever takes nothing does not leave the reader waiting.
        assert!(copy(&mut full(false), &mut Broken, &mut unchanged).is_err());
    }
}
