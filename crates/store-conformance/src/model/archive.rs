//! The model as an archive.

use countersign_domain::archive::{Archive, Contents, ImportError, Measure, Record};
use countersign_domain::fact_digest::FactHasher;
use countersign_domain::store::{Cause, StoreError};

use super::ModelStore;
use super::state::State;
use crate::doubles::lock;

impl Archive for ModelStore {
    fn export(&mut self, visit: &mut dyn FnMut(Record) -> Result<(), Cause>) -> Result<Contents, StoreError> {
        let state = lock(&self.state);
        for record in state.records() {
            visit(record).map_err(StoreError::Unavailable)?;
        }
        Ok(state.contents())
    }

    fn import(
        &mut self,
        records: &mut dyn Iterator<Item = Record>,
        check: &mut dyn FnMut(&Contents) -> Result<(), Cause>,
    ) -> Result<Contents, ImportError> {
        let mut state = lock(&self.state);
        if !state.contents().rows.is_empty() {
            return Err(ImportError::NotEmpty);
        }
        let mut filled = State::default();
        let mut has_ended = false;
        for record in records {
            has_ended = filled.take(record);
        }
        if !has_ended {
            return Err(ImportError::CutShort);
        }
        let contents = filled.contents();
        check(&contents).map_err(ImportError::Refused)?;
        *state = filled;
        Ok(contents)
    }
}

impl State {
    fn records(&self) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::new();
        let mut accounts: Vec<_> = self.accounts.values().collect();
        accounts.sort_by_key(|account| self.upwards(account.id).count());
        records.extend(accounts.into_iter().cloned().map(Record::Account));
        records.extend(self.organizations.values().cloned().map(Record::Organization));
        records.extend(self.memberships.values().cloned().map(Record::Membership));
        records.extend(self.service_tokens.values().cloned().map(Record::ServiceToken));
        records.extend(self.access_tokens.values().cloned().map(Record::AccessToken));
        records.extend(self.root_handles.iter().copied().map(Record::RootToken));
        records.extend(self.cuts.iter().copied().map(Record::Cut));
        records.extend(self.epoch_sweeps.iter().copied().map(Record::EpochSweep));
        records.extend(self.audit.iter().cloned().map(Record::Audit));
        records.extend(self.uses.values().cloned().map(Record::Use));
        records.extend(self.refusals.values().cloned().map(Record::Refusals));
        records.extend(self.key_generations.values().cloned().map(Record::KeyGeneration));
        records.push(Record::End(self.revision));
        records
    }

    fn contents(&self) -> Contents {
        let (mut measure, mut facts) = (Measure::default(), FactHasher::default());
        self.records().iter().for_each(|record| measure.add(record));
        self.facts().for_each(|fact| facts.add(&fact));
        let rows = measure.contents().map(|contents| contents.rows).unwrap_or_default();
        Contents { revision: self.revision, rows, digest: facts.finish() }
    }

    /// Takes in a record; gives whether it was the end.
    fn take(&mut self, record: Record) -> bool {
        let is_new = match record {
            Record::Account(account) => self.accounts.insert(account.id, account).is_none(),
            Record::Organization(row) => self.organizations.insert(row.id, row).is_none(),
            Record::Membership(row) => self.memberships.insert(row.id, row).is_none(),
            Record::ServiceToken(token) => self.service_tokens.insert(token.id, token).is_none(),
            Record::AccessToken(token) => self.access_tokens.insert(token.handle, token).is_none(),
            Record::RootToken(handle) => {
                self.root_handles.push(handle);
                true
            }
            Record::Cut(handle) => self.cuts.insert(handle),
            Record::EpochSweep(account) => self.epoch_sweeps.insert(account),
            Record::Audit(record) => {
                self.audit.push(record);
                true
            }
            Record::Use(usage) => self.uses.insert((usage.token, usage.secret_version), usage).is_none(),
            Record::Refusals(refusals) => {
                let key = (refusals.token, refusals.minute, refusals.reason.as_str());
                self.refusals.insert(key, refusals).is_none()
            }
            Record::KeyGeneration(row) => self.key_generations.insert(row.number, row).is_none(),
            Record::End(revision) => {
                self.revision = revision;
                return true;
            }
        };
        assert!(is_new, "a record came twice");
        false
    }
}
