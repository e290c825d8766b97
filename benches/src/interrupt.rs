//! Ctrl-C: the first one ends measuring, the second one the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How often Ctrl-C was pressed. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicU32>);

impl Interrupt {
    /// Listens from now on, on a thread of its own. `first` is called at the first one, on another thread, so that one that hangs is not
    /// in the way of the second one; at that `last` is called, which must end the program.
    ///
    /// # Errors
    /// The system gives no thread or no signals.
    pub fn listen(first: impl FnOnce() + Send + 'static, last: impl Fn() + Send + 'static) -> Result<Self, String> {
        let pressed = Interrupt::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot listen for Ctrl-C: {error}"))?;
        let count = pressed.clone();
        let mut first = Some(first);
        let listening = std::thread::Builder::new().name("ctrl-c".into()).spawn(move || {
            runtime.block_on(async {
                // The first call takes the signal over for good.
                while tokio::signal::ctrl_c().await.is_ok() {
                    if count.0.fetch_add(1, Ordering::Relaxed) > 0 {
                        last();
                    } else if let Some(first) = first.take() {
                        // Without a thread it is obeyed all the same.
                        let _ = std::thread::Builder::new().name("first ctrl-c".into()).spawn(first);
                    }
                }
            });
        });
        listening.map_err(|error| format!("cannot listen for Ctrl-C: {error}"))?;
        Ok(pressed)
    }

    /// Whether it was pressed.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}
