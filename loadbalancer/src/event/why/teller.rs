//! Puts the accounts of one request together while the records go by.

use super::{
    Account, End, Explanation, Step,
    scope::{Gap, Scope},
    spent::Clock,
    step::{Scene, meanwhile, step},
};
use crate::event::{Event, Record};
use protocol::id::RequestId;
use std::collections::{HashMap, HashSet};

/// What happened to servers during one request is told up to this many events; with hundreds of flapping servers and a
/// request that waits for half a minute it would otherwise be a book.
const MOST_MEANWHILE: usize = 100;

/// Servers chosen lately that are remembered: the last one of this pool must be among them, and there are few pools.
const MOST_CHOSEN: usize = 16;

/// Listens to all records, and remembers what is needed to tell of one request.
#[derive(Debug)]
pub(super) struct Teller {
    request: RequestId,
    scope: Scope,
    /// What happened to each server last.
    servers: HashMap<String, (u64, Event)>,
    /// Who was chosen lately, by anybody, the last one at the end; each once.
    chosen: Vec<String>,
    draft: Option<Draft>,
    accounts: Vec<Account>,
}

/// An account that has no end yet.
#[derive(Debug)]
struct Draft {
    account: Account,
    clock: Clock,
    /// The servers that this request has to do with.
    involved: HashSet<String>,
    last_us: u64,
    meanwhile: usize,
    left_out: u64,
}

impl Teller {
    pub fn new(request: RequestId) -> Self {
        let (scope, servers, accounts) = (Scope::default(), HashMap::new(), Vec::new());
        Self { request, scope, servers, chosen: Vec::new(), draft: None, accounts }
    }

    pub fn hear(&mut self, record: &Record) {
        self.note(record);
        let (at_us, event) = (record.at_us, &record.event);
        if event.request() == Some(self.request) {
            self.own(at_us, event);
        } else if let Some(draft) = &mut self.draft
            && let Some(said) = meanwhile(event)
        {
            draft.meanwhile(at_us, event, said);
        }
        if let Some(server) = event.server() {
            self.servers.insert(server.to_owned(), (at_us, event.clone()));
        }
        match event {
            Event::ServerChosen { server, .. } => self.choice(server),
            Event::PolicyChanged { .. } => self.chosen.clear(),
            _ => {}
        }
    }

    fn choice(&mut self, server: &str) {
        self.chosen.retain(|earlier| earlier != server);
        self.chosen.push(server.to_owned());
        if self.chosen.len() > MOST_CHOSEN {
            self.chosen.remove(0);
        }
    }

    /// Notes what the records cover.
    fn note(&mut self, record: &Record) {
        if self.scope.records == 0 {
            self.scope.from_us = record.at_us;
        }
        self.scope.records += 1;
        self.scope.to_us = record.at_us;
        match record.event {
            Event::Started { .. } => {
                self.scope.whole = true;
                self.close(Some(Gap::StartedAgain));
                self.servers.clear();
                self.chosen.clear();
            }
            Event::EventsLost { count } => {
                self.scope.lost += count;
                if let Some(draft) = &mut self.draft {
                    let after_us = record.at_us.saturating_sub(draft.account.since_us);
                    draft.account.gaps.push(Gap::EventsLost { count, after_us });
                }
            }
            _ => {}
        }
    }

    /// A step of the request itself.
    fn own(&mut self, at_us: u64, event: &Event) {
        let arrives = matches!(event, Event::RequestReceived { .. });
        let came_before = arrives && self.draft.is_some();
        if came_before {
            self.close(Some(Gap::CameAgain));
        }
        let draft = self.draft.get_or_insert_with(|| Draft::begin(at_us, event));
        if came_before {
            draft.account.gaps.push(Gap::HadCome);
        }
        draft.own(at_us, event, &self.chosen, &self.servers);
        if event.ends_a_request() {
            self.close(None);
        }
    }

    fn close(&mut self, gap: Option<Gap>) {
        if let Some(draft) = self.draft.take() {
            self.accounts.push(draft.finish(gap));
        }
    }

    pub fn finish(mut self) -> Explanation {
        if let Some(draft) = &self.draft {
            let after_us = self.scope.to_us.saturating_sub(draft.account.since_us);
            self.close(Some(Gap::RecordsEnd { after_us }));
        }
        Explanation { request: self.request, accounts: self.accounts, scope: self.scope }
    }
}

impl Draft {
    fn begin(at_us: u64, event: &Event) -> Self {
        // A request that is refused as it comes has no other step.
        let whole = matches!(event, Event::RequestReceived { .. } | Event::RequestFailed { .. });
        let account = Account {
            since_us: at_us,
            client: None,
            text: None,
            attempts: 0,
            end: End::Unknown,
            took_us: 0,
            steps: Vec::new(),
            spent: Vec::new(),
            gaps: if whole { Vec::new() } else { vec![Gap::NoBeginning] },
        };
        let involved = HashSet::new();
        Self { account, clock: Clock::start(at_us), involved, last_us: at_us, meanwhile: 0, left_out: 0 }
    }

    fn own(&mut self, at_us: u64, event: &Event, chosen: &[String], servers: &HashMap<String, (u64, Event)>) {
        self.clock.hear(at_us, event);
        let scene = Scene { at_us, asked: self.account.text.as_deref(), clock: &self.clock, chosen, servers };
        let says = step(event, &scene);
        self.account.steps.push(Step { after_us: self.after(at_us), says, event: event.clone() });
        self.last_us = self.last_us.max(at_us);
        match event {
            Event::RequestReceived { client, text, .. } => {
                (self.account.client, self.account.text) = (Some(client.clone()), Some(text.clone()));
            }
            Event::ServerChosen { considered, skipped, copy, .. } => {
                self.account.attempts += u32::from(!*copy);
                let considered = considered.iter().map(|server| &server.server);
                self.involved.extend(considered.chain(skipped.iter().map(|server| &server.server)).cloned());
            }
            Event::ChangeOrdered { servers, absent, .. } => {
                self.involved.extend(servers.iter().chain(absent).cloned());
            }
            end => self.end(end),
        }
    }

    fn end(&mut self, event: &Event) {
        self.account.end = match event {
            Event::ResponseSent { server, complete, took_us, .. } => {
                self.account.took_us = *took_us;
                // After a race it is the one that began to answer, whoever was chosen first.
                let server = self.clock.answering().unwrap_or(server).to_owned();
                End::Answered { server, complete: *complete }
            }
            Event::ConnectionEnded { server, how, took_us, .. } => {
                self.account.took_us = *took_us;
                End::Closed { server: server.clone(), how: how.clone() }
            }
            Event::RequestFailed { code, definite, message, .. } => {
                End::Failed { code: *code, definite: *definite, message: message.clone() }
            }
            Event::RequestCancelled { .. } => End::TakenBack,
            Event::RequestAbandoned { why, .. } => End::Abandoned { why: why.clone() },
            _ => return,
        };
    }

    /// Something that happened to a server, or to all, while the request was in hand.
    fn meanwhile(&mut self, at_us: u64, event: &Event, said: String) {
        if self.meanwhile == MOST_MEANWHILE {
            self.left_out += 1;
            return;
        }
        self.meanwhile += 1;
        self.account.steps.push(Step { after_us: self.after(at_us), says: vec![said], event: event.clone() });
    }

    fn after(&self, at_us: u64) -> u64 {
        at_us.saturating_sub(self.account.since_us)
    }

    fn finish(self, gap: Option<Gap>) -> Account {
        let Self { mut account, clock, involved, last_us, left_out, .. } = self;
        // Only now it is known which servers it had to do with; one that waited in vain had to do with all.
        if !involved.is_empty() {
            account.steps.retain(|step| step.event.server().is_none_or(|server| involved.contains(server)));
        }
        if left_out > 0 {
            account.gaps.push(Gap::More { count: left_out });
        }
        account.gaps.extend(gap);
        // Whoever served it looked at the clock when its first bytes came; its first step is that it was here whole.
        let told_us = last_us - account.since_us;
        let before_us =
            if account.gaps.contains(&Gap::NoBeginning) { 0 } else { account.took_us.saturating_sub(told_us) };
        account.took_us = account.took_us.max(told_us);
        account.since_us = account.since_us.saturating_sub(before_us);
        account.steps.iter_mut().for_each(|step| step.after_us += before_us);
        account.spent = clock.finish(last_us, before_us);
        account
    }
}
