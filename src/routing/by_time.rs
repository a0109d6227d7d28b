//! What a new minute changes for those who wait: targets may ask for the time of day (TaskRouter: Time of Day Routing), and
//! whether a calendar is open.
//!
//! Only tasks whose step has an answer that has really changed are looked at again: what a step asks of the time is compared
//! once for all of its tasks, whoever waits or stands ready. Start with [`Turn::offer_by_time`].

use std::collections::BTreeMap;

use super::defect::defect;
use super::expression::Scope;
use super::lane::{Class, Rule};
use super::matcher::Source;
use super::time::Timestamp;
use super::turn::Turn;
use super::workspace::Workspace;

impl Workspace {
    /// Waiting tasks for which somebody may do now who would not have done `before`; all that ask for the time when
    /// it is not known what they were told.
    fn stirred_by_time(&self, before: Option<&Scope<'_>>, now: Timestamp) -> Vec<Source> {
        let now = Scope::at(now, &self.calendars);
        let mut steps = BTreeMap::new();
        let mut has_moved = |rule: &Rule, class: &Class| {
            rule.uses_time
                && *steps.entry((rule.workflow, rule.version, rule.step)).or_insert_with(|| {
                    before.is_none_or(|before| {
                        self.expression_of(class).is_none_or(|expression| expression.time_has_moved(before, &now))
                    })
                })
        };
        let mut stirred = Vec::new();
        for lane_key in self.timed_lanes.keys() {
            let Some(lane) = self.lanes.get(lane_key) else { continue };
            for (rule, class) in &lane.ruled {
                if has_moved(rule, class) {
                    stirred.push(Source::Ruled(*lane_key, rule.clone()));
                }
            }
            for (worker, rules) in &lane.known {
                for (rule, class) in rules {
                    if has_moved(rule, class) {
                        stirred.push(Source::Known(*lane_key, *worker, rule.clone()));
                    }
                }
            }
        }
        stirred
    }
}

impl Turn<'_> {
    /// In a new minute, or when a calendar is another one, has those looked at who wait for what has come.
    pub(super) fn offer_by_time(&mut self) {
        let now = self.now;
        let offered_in = self.workspace.offered_in.replace(now);
        let calendars_before = self.calendars_before.take().filter(|_| !defect!(CalendarChangeUnheard));
        let is_new = offered_in.is_none_or(|before| before.minute() != now.minute());
        if calendars_before.is_none() && (!is_new || defect!(MinuteOverlooked)) {
            return;
        }
        let workspace = &*self.workspace;
        let calendars_before = calendars_before.as_ref().unwrap_or(&workspace.calendars);
        let before = offered_in.map(|before| Scope::at(before, calendars_before));
        self.stirred = workspace.stirred_by_time(before.as_ref(), now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::{Command, NewTask, NewTaskQueue, NewWorkflow, NewWorkspace, Reply};
    use super::super::sid::{AccountSid, SidSource};
    use super::super::state::TaskOrder;
    use super::*;

    struct Counted(u128);

    impl SidSource for Counted {
        fn next_bits(&mut self, _now: Timestamp) -> u128 {
            self.0 += 1;
            self.0
        }
    }

    /// A Thursday, 00:30 in UTC.
    const BEGIN: Timestamp = Timestamp(30 * 60_000);

    fn floor_where(target: &str) -> Workspace {
        let new = NewWorkspace::named("Floor");
        let mut sids = Counted(0);
        let (mut workspace, _) = Workspace::create(AccountSid::from_bits(1), &new, BEGIN, &mut sids).unwrap();
        let mut send = |command: Command| workspace.handle(&command, BEGIN, &mut sids).unwrap().reply;
        let queue = NewTaskQueue {
            friendly_name: "all".to_owned(),
            target_workers: "1==1".to_owned(),
            task_order: TaskOrder::Fifo,
            max_reserved_workers: 1,
            reservation_activity: None,
            assignment_activity: None,
        };
        let Reply::TaskQueue(queue) = send(Command::CreateTaskQueue(queue)) else { panic!("a queue") };
        let workflow = NewWorkflow {
            friendly_name: "timed".to_owned(),
            configuration: format!(
                r#"{{"task_routing":{{"filters":[{{"expression":"1==1","targets":[{{"queue":"{queue}","expression":"{target}"}}]}}]}}}}"#
            ),
            assignment_callback_url: None,
            fallback_assignment_callback_url: None,
            task_reservation_timeout_secs: 120,
        };
        send(Command::CreateWorkflow(workflow));
        for lang in 0..50 {
            send(Command::CreateTask(NewTask::with_attributes(format!(r#"{{"lang":"l{lang}"}}"#))));
        }
        workspace
    }

    #[test]
    fn only_what_the_time_has_changed_is_looked_at_again() {
        let minute = 60_000;
        for (target, after_a_minute, after_half_an_hour) in [
            ("taskrouter.currentHour == '99' AND task.lang IN worker.langs", 0, 0),
            ("taskrouter.currentHour >= 1 AND task.lang IN worker.langs", 0, 50),
            ("taskrouter.currentTime >= 31 OR task.lang IN worker.langs", 50, 50),
            ("taskrouter.currentMin == worker.minute AND task.lang IN worker.langs", 50, 50),
            ("taskrouter.dayOfWeek == worker.day AND task.lang IN worker.langs", 0, 0),
            ("task.lang IN worker.langs", 0, 0),
        ] {
            let workspace = floor_where(target);
            let before = Scope::at(BEGIN, &workspace.calendars);
            let stirred = |after: i64| workspace.stirred_by_time(Some(&before), Timestamp(BEGIN.0 + after)).len();
            assert_eq!((stirred(minute), stirred(31 * minute)), (after_a_minute, after_half_an_hour), "{target}");
        }
        // After a restart it is not known what was told before.
        let workspace = floor_where("taskrouter.currentHour == '99' AND task.lang IN worker.langs");
        assert_eq!(workspace.stirred_by_time(None, BEGIN).len(), 50);
    }
}
