//! What a person has decided about servers, by their ids: it outlives the server's process.
//!
//! **The problem.** A server is taken into maintenance so that its process can be replaced. The new process is a new server
//! under the old id ([`ServerKey`](crate::policy::ServerKey): new for each life). If it began without a past, it would get
//! requests before the person is done; and a weight would be gone with every crash.
//!
//! **The idea.** A wish belongs to the id. It is kept here when it is made, and applied whenever a server of that id joins;
//! it ends when the person takes it back, or removes the server. HAProxy has no such question: its servers are lines of a
//! configuration, and stay when their processes go.

use super::Admin;

/// How many ids are remembered; the oldest are forgotten first. More than a class has servers.
const MOST: usize = 1_000;

/// What a person wants of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Drained, in maintenance, or ready.
    pub admin: Admin,
    /// Its weight, if it was given one.
    pub weight: Option<u32>,
    /// How many requests it should hold at the most, if that was said.
    pub capacity: Option<u32>,
}

/// What a person wants of which server. Those of whom nothing is wanted are not in it.
#[derive(Debug, Default)]
pub struct Wishes {
    /// In the order in which they were changed.
    by_id: Vec<(String, Wish)>,
}

impl Wishes {
    /// What is wanted of the server of this id.
    #[must_use]
    pub fn of(&self, id: &str) -> Wish {
        self.by_id.iter().find(|(known, _)| known == id).map_or_else(Wish::default, |(_, wish)| *wish)
    }

    /// A person wants something else of the server of this id from now on.
    pub fn change(&mut self, id: &str, change: impl FnOnce(&mut Wish)) {
        let mut wish = self.of(id);
        change(&mut wish);
        self.forget(id);
        if wish == Wish::default() {
            return;
        }
        if self.by_id.len() == MOST {
            self.by_id.remove(0);
        }
        self.by_id.push((id.to_owned(), wish));
    }

    /// Nothing is wanted of the server of this id any more.
    pub fn forget(&mut self, id: &str) {
        self.by_id.retain(|(known, _)| known != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_add_up_until_none_is_left_and_only_so_many_are_kept() {
        let mut wishes = Wishes::default();
        wishes.change("1", |wish| wish.admin = Admin::Drain);
        wishes.change("1", |wish| wish.weight = Some(7));
        assert_eq!(wishes.of("1"), Wish { admin: Admin::Drain, weight: Some(7), capacity: None });
        wishes.change("1", |wish| *wish = Wish::default());
        assert_eq!((wishes.of("1"), wishes.by_id.len()), (Wish::default(), 0));
        (0..=MOST).for_each(|id| wishes.change(&id.to_string(), |wish| wish.weight = Some(2)));
        assert_eq!((wishes.by_id.len(), wishes.of("0").weight, wishes.of("1").weight), (MOST, None, Some(2)));
        wishes.forget("1");
        assert_eq!(wishes.of("1"), Wish::default());
    }
}
