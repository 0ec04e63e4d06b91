//! The whole program, as its users meet it: the built binary, on a real port, with a real data directory.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod database_faults;
#[cfg(test)]
mod disk_full;
#[cfg(test)]
mod filters;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod leak;
#[cfg(test)]
mod limited;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod many;
#[cfg(test)]
mod measuring;
#[cfg(test)]
mod moving;
#[cfg(test)]
mod offline;
#[cfg(test)]
mod operating;
#[cfg(test)]
mod power_loss;
#[cfg(test)]
mod proxies;
#[cfg(test)]
mod race;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod restoring;
#[cfg(test)]
mod sdk;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod spellings;
#[cfg(test)]
mod starting;
#[cfg(test)]
mod tenants;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod validators;

#[cfg(test)]
mod certificates;
/// The module of `docs/offline.md` as it stands there, for a crate of its own.
#[cfg(test)]
#[expect(unreachable_pub, reason = "it is somebody else's")]
mod checker;
#[cfg(test)]
mod connection;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod forge;
#[cfg(test)]
mod handbook;
#[cfg(test)]
mod household;
#[cfg(test)]
mod journal;
mod jwt;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod manager;
#[cfg(test)]
mod numbers;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod random;
#[cfg(test)]
mod recipe;
#[cfg(test)]
mod request;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod sealed;
#[cfg(test)]
mod server;
#[cfg(test)]
mod site;
#[cfg(test)]
mod steward;
#[cfg(test)]
mod stub;
#[cfg(test)]
mod tampered;
#[cfg(test)]
mod unit;
#[cfg(test)]
mod workshop;
