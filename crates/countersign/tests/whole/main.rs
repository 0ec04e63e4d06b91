//! The whole program, as its users meet it: the built binary, on a real port, with a real data directory.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod starting;

#[cfg(test)]
mod server;
