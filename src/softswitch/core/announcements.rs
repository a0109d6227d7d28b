//! Announcements: a document that is played to one participant, or to everybody in a room, while they talk.
//!
//! The document's media are said one after the other and its `<Redirect>` leads on; other verbs are skipped. The room's
//! callback learns of the end or of the failure. Nobody's own document is touched. Start with [`Switch::announce`].

use super::request::Refusal;
use super::state::{CallId, Due, FetchId, RoomId, RoomStatus};
use super::webhooks::{Parameter, parameter};
use super::{Action, FetchFailure, Switch};
use crate::softswitch::twiml::{Document, Target, Verb};

/// Announcements on their way at once.
const ANNOUNCEMENTS_MAX: usize = 1_000;
/// Documents that may lead to the next one.
const DOCUMENTS_MAX: u32 = 100;

/// One announcement.
#[derive(Debug)]
pub(crate) struct Announcement {
    room: RoomId,
    /// Whom it is for; everybody when absent.
    to: Option<CallId>,
    /// As it was ordered.
    url: String,
    documents: u32,
    /// Where it goes on when what plays is over.
    next: Option<Target>,
}

impl Switch {
    /// Plays the document at `target` to everybody in the room, or to one of them.
    pub(super) fn announce(&mut self, room: RoomId, to: Option<CallId>, target: Target) -> Result<(), Refusal> {
        let running = self.rooms.get(&room).is_some_and(|room| room.record.status == RoomStatus::InProgress);
        if !running {
            return Err(Refusal::bad(20001, "An announcement needs a conference that is in progress"));
        }
        if self.announcements.len() >= ANNOUNCEMENTS_MAX {
            return Err(Refusal::new(429, 20429, "Too many announcements at once"));
        }
        let url = target.url.clone();
        self.ask_announcement(Announcement { room, to, url, documents: 0, next: Some(target) });
        Ok(())
    }

    fn ask_announcement(&mut self, mut announcement: Announcement) {
        let Some(target) = announcement.next.take() else { return };
        let Some(room) = self.rooms.get(&announcement.room) else { return };
        let mut params = match announcement.to.and_then(|id| self.calls.get(&id)) {
            Some(call) => self.call_parameters(call),
            None => vec![parameter("AccountSid", &self.settings.account_sid), parameter("ApiVersion", "2010-04-01")],
        };
        params.extend([parameter("ConferenceSid", &room.record.sid), parameter("FriendlyName", &room.record.name)]);
        announcement.documents += 1;
        let id = FetchId(self.next_number());
        let webhook = self.webhook(&target, params);
        self.announcements.insert(id, announcement);
        self.actions.push(Action::Fetch { id, webhook });
    }

    /// The announcement's document arrived, or failed to.
    pub(super) fn announcement_fetched(&mut self, id: FetchId, outcome: Result<Document, FetchFailure>) {
        let Some(mut announcement) = self.announcements.remove(&id) else { return };
        if !self.is_heard(&announcement) {
            return;
        }
        let document = match outcome {
            Ok(document) if announcement.documents <= DOCUMENTS_MAX => document,
            Ok(_) => return self.announcement_failed(&announcement, "documents only lead to further documents"),
            Err(failure) => {
                return self.announcement_failed(&announcement, &format!("{}: {}", failure.code, failure.message));
            }
        };
        let (room, to) = (announcement.room, announcement.to);
        let mut ms = 0_i64;
        for verb in &document.verbs {
            match verb {
                Verb::Media(media) => ms = ms.saturating_add(media.ms),
                Verb::Redirect(target) => {
                    announcement.next = Some(target.clone());
                    break;
                }
                _ => self.note("call.warning", to, Some(room), "13238: a verb is not allowed in an announcement"),
            }
        }
        let at = self.now.plus_ms(self.scaled(ms));
        let order = self.next_number();
        self.timers.insert((at, order, Due::Announcement(id)));
        self.announcements.insert(id, announcement);
    }

    /// What a document of an announcement says has been said.
    pub(super) fn announced(&mut self, id: FetchId) {
        let Some(announcement) = self.announcements.remove(&id) else { return };
        if !self.is_heard(&announcement) {
            return;
        }
        if announcement.next.is_some() {
            return self.ask_announcement(announcement);
        }
        self.tell_announcement(&announcement, "announcement-end", None);
    }

    /// Nobody is told of an announcement whose participant or room is gone.
    fn is_heard(&self, announcement: &Announcement) -> bool {
        self.rooms.get(&announcement.room).is_some_and(|room| {
            room.record.status == RoomStatus::InProgress
                && announcement.to.is_none_or(|to| room.members.iter().any(|member| member.call == to))
        })
    }

    fn announcement_failed(&mut self, announcement: &Announcement, reason: &str) {
        self.note("room.error", announcement.to, Some(announcement.room), reason);
        self.tell_announcement(announcement, "announcement-fail", Some(parameter("ReasonAnnouncementFailed", reason)));
    }

    fn tell_announcement(&mut self, announcement: &Announcement, event: &str, reason: Option<Parameter>) {
        let member = announcement.to.and_then(|to| {
            self.rooms.get(&announcement.room)?.members.iter().find(|member| member.call == to).cloned()
        });
        let mut extra = member.map(|member| self.participant_parameters(&member)).unwrap_or_default();
        extra.push(parameter("AnnounceUrl", &announcement.url));
        extra.extend(reason);
        self.room_event(announcement.room, "announcement", event, extra);
    }
}
