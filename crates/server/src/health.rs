//! Whether the store can be read and written, found out once for all who ask.

use std::sync::Arc;
use std::time::Duration;

use countersign_authority::Authority;
use countersign_domain::error::causes;
use countersign_domain::store::StoreError;
use countersign_domain::time::Timestamp;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// For how long an answer is good enough for everybody. Asking costs the writer's time, and anybody may ask.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// A disk that answers later than this does not work.
const PATIENCE: Duration = Duration::from_secs(2);

/// The last answer.
#[derive(Default)]
pub(crate) struct Health {
    /// Held while the store is asked, so that it is asked by one at a time.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: Option<(Timestamp, bool)>,
    /// The question that the store has not answered yet. There is never a second one: they would wait behind each
    /// other in its queue.
    asked: Option<JoinHandle<bool>>,
}

impl Health {
    /// Whether the store works. One that is merely busy does.
    pub(crate) async fn is_good(&self, authority: &Arc<Authority>) -> bool {
        let mut state = self.state.lock().await;
        let now = authority.now();
        if let Some((asked_at, answer)) = state.last
            && (asked_at..asked_at.after(GOOD_FOR)).contains(&now)
        {
            return answer;
        }
        let mut asked = match state.asked.take() {
            Some(asked) => asked,
            None => tokio::spawn(ask(Arc::clone(authority))),
        };
        let answer = match timeout(PATIENCE, &mut asked).await {
            Ok(answer) => answer.unwrap_or(false),
            Err(_elapsed) => {
                tracing::warn!("not ready: the store does not answer");
                state.asked = Some(asked);
                false
            }
        };
        state.last = Some((authority.now(), answer));
        answer
    }
}

async fn ask(authority: Arc<Authority>) -> bool {
    match authority.check_store().await {
        Ok(()) | Err(StoreError::Busy) => true,
        Err(error) => {
            tracing::warn!(cause = %causes(&error), "not ready: the store cannot be read and written");
            false
        }
    }
}
