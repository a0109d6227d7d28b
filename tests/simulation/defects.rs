//! Known mistakes, switched on one after the other: the simulation must find each.
//!
//! The mistakes are in the cores, behind `defect!`, and exist only with the feature `seeded-defects`. Start with
//! [`all_are_found`].

#[cfg(feature = "seeded-defects")]
pub(crate) use seeded::{all_are_found, switch_on};

#[cfg(not(feature = "seeded-defects"))]
pub(crate) fn switch_on(defect: Option<&str>) -> Result<(), String> {
    defect.map_or(Ok(()), |_| Err("built without the feature seeded-defects".to_owned()))
}

#[cfg(not(feature = "seeded-defects"))]
pub(crate) fn all_are_found() -> Result<(), String> {
    Err("built without the feature seeded-defects".to_owned())
}

#[cfg(feature = "seeded-defects")]
mod seeded {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use switchhook::routing::defect::{Defect, seed};

    use crate::hunt::{SEED_OF_INTEGRATION, STEPS_OF_A_RUN, now, play};
    use crate::say;

    /// Workspaces in which a defect is looked for.
    const SEEDS: u64 = 100;

    /// All of them are to be found within this time.
    const TIME_MAX: Duration = Duration::from_mins(2);

    pub(crate) fn switch_on(defect: Option<&str>) -> Result<(), String> {
        let Some(name) = defect else { return Ok(()) };
        let named = Defect::ALL.iter().copied().find(|defect| format!("{defect:?}") == name);
        let named = named.ok_or_else(|| format!("there is no defect {name}"))?;
        seed(Some(named));
        Ok(())
    }

    /// Looks for each defect until it is found; an error names those that are not.
    pub(crate) fn all_are_found() -> Result<(), String> {
        let began = now();
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let next = AtomicUsize::new(0);
        let missed: Mutex<Vec<String>> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(defect) = Defect::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                        seed(Some(*defect));
                        match look_for() {
                            Some(found) => say(&format!("{:<24} {found}", format!("{defect:?}"))),
                            None => missed.lock().expect("nobody panics with the lock").push(format!("{defect:?}")),
                        }
                        seed(None);
                    }
                });
            }
        });
        let missed = missed.into_inner().expect("nobody panics with the lock");
        let took = began.elapsed();
        if missed.is_empty() && took > TIME_MAX {
            return Err(format!("all defects were found, but in {took:.0?}, more than {TIME_MAX:.0?}"));
        }
        if missed.is_empty() {
            say(&format!("all {} defects were found in {took:.1?}", Defect::ALL.len()));
            return Ok(());
        }
        Err(format!("not found: {}", missed.join(", ")))
    }

    fn look_for() -> Option<String> {
        let mut before = 0;
        // Seeds on which nothing breaks without a defect.
        for seed in SEED_OF_INTEGRATION..SEED_OF_INTEGRATION + SEEDS {
            if let Err(broken) = play(seed, STEPS_OF_A_RUN, None, None) {
                let steps = before + u64::from(broken.at);
                return Some(format!("seed {seed} {steps:>7} steps: {}", broken.what));
            }
            before += u64::from(STEPS_OF_A_RUN);
        }
        None
    }
}
