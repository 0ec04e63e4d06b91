//! Whether the store can be read and written, found out once for all who ask.

use std::time::Duration;

use countersign_authority::Authority;
use countersign_domain::store::StoreError;
use countersign_domain::time::Timestamp;
use tokio::sync::Mutex;

/// For how long an answer is good enough for everybody. Asking costs the writer's time, and anybody may ask.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// A disk that answers later than this does not work.
const PATIENCE: Duration = Duration::from_secs(2);

/// The last answer.
#[derive(Default)]
pub(crate) struct Health {
    /// Held while the store is asked, so that it is asked by one at a time.
    last: Mutex<Option<(Timestamp, bool)>>,
}

impl Health {
    /// Whether the store works. One that is merely busy does.
    pub(crate) async fn is_good(&self, authority: &Authority) -> bool {
        let mut last = self.last.lock().await;
        let now = authority.now();
        if let Some((asked_at, answer)) = *last
            && (asked_at..asked_at.after(GOOD_FOR)).contains(&now)
        {
            return answer;
        }
        let answer = match tokio::time::timeout(PATIENCE, authority.check()).await {
            Ok(Ok(()) | Err(StoreError::Busy)) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready: the store cannot be read and written");
                false
            }
            Err(_elapsed) => {
                tracing::warn!("not ready: the store does not answer");
                false
            }
        };
        *last = Some((now, answer));
        answer
    }
}
