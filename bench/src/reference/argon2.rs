//! The bare hash: how many passwords one core hashes with argon2id and the parameters of the server, in memory that is
//! there already.

use std::time::{Duration, Instant};

use anyhow::Result;
use argon2::{Algorithm, Argon2, Block, Params, Version};

use super::report;
use crate::load::{Report, Times};

/// Of a salt and of a hash, in bytes.
const SALT: [u8; 16] = [7; 16];
const OUTPUT: usize = 32;

/// Hashes for a while that does not count, and then for `measured`.
pub(crate) fn hash(password: &str, warm_up: Duration, measured: Duration) -> Result<Report> {
    let params = Params::DEFAULT;
    let mut memory = vec![Block::default(); params.block_count()];
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut hash_for = |span: Duration| -> Result<(u64, Times)> {
        let (begun, mut hashes, mut times) = (Instant::now(), 0, Times::new()?);
        while begun.elapsed() < span {
            let start = Instant::now();
            let mut output = [0; OUTPUT];
            let hashed =
                hasher.hash_password_into_with_memory(password.as_bytes(), &SALT, &mut output, &mut memory);
            hashed.map_err(|error| anyhow::anyhow!("argon2id: {error}"))?;
            std::hint::black_box(output);
            times.add(start.elapsed());
            hashes += 1;
        }
        Ok((hashes, times))
    };
    hash_for(warm_up)?;
    report("hash", || hash_for(measured))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_counted() -> Result<()> {
        let report = hash("Secret!1", Duration::ZERO, Duration::from_millis(1))?;
        assert!(report.lanes[0].completed >= 1 && report.lanes[0].latency.p50_us > 0.0);
        Ok(())
    }
}
