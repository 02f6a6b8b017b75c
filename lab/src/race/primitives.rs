//! shuttle's locks and channels in the place of the real ones.
//!
//! Whoever locks, unlocks, hands over or looks into a channel passes a point at which another thread may go on instead.
//! Between two such points nobody interferes: what races there are, are made of these points.

use loadbalancer::pool::locked::{Handover, Lock, Primitives};
use shuttle::sync::{Condvar, Mutex, MutexGuard};
use std::sync::{Arc, PoisonError};

/// The locks and channels of shuttle.
#[derive(Debug)]
pub struct Shuttle;

impl Primitives for Shuttle {
    type Lock<T: Send> = Guarded<T>;
    type Handover<T: Send> = Sender<T>;
}

/// A lock of shuttle.
#[derive(Debug)]
pub struct Guarded<T>(Mutex<T>);

impl<T: Send> Lock<T> for Guarded<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut lock(&self.0))
    }
}

/// A thread that panicked has failed the play already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is in a channel of one place.
#[derive(Debug)]
enum Place<T> {
    Empty,
    Full(T),
    /// Nothing will come.
    Closed,
}

#[derive(Debug)]
struct Channel<T> {
    place: Mutex<Place<T>>,
    bell: Condvar,
}

impl<T> Channel<T> {
    fn close(&self) {
        let mut place = lock(&self.place);
        if matches!(*place, Place::Empty) {
            *place = Place::Closed;
        }
        drop(place);
        self.bell.notify_one();
    }
}

/// The sending half of a channel of one place. Dropping it unused closes the channel.
#[derive(Debug)]
pub struct Sender<T>(Option<Arc<Channel<T>>>);

/// The receiving half.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Channel<T>>);

impl<T: Send> Handover<T> for Sender<T> {
    type Receiver = Receiver<T>;

    fn pair() -> (Self, Receiver<T>) {
        let channel = Arc::new(Channel { place: Mutex::new(Place::Empty), bell: Condvar::new() });
        (Self(Some(Arc::clone(&channel))), Receiver(channel))
    }

    fn hand(mut self, thing: T) {
        if let Some(channel) = self.0.take() {
            *lock(&channel.place) = Place::Full(thing);
            channel.bell.notify_one();
        }
    }

    fn take(receiver: &Receiver<T>) -> Option<T> {
        take_from(&mut lock(&receiver.0.place))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if let Some(channel) = self.0.take() {
            channel.close();
        }
    }
}

fn take_from<T>(place: &mut Place<T>) -> Option<T> {
    match std::mem::replace(place, Place::Closed) {
        Place::Full(thing) => Some(thing),
        other => {
            *place = other;
            None
        }
    }
}

impl<T: Send + 'static> Receiver<T> {
    /// Waits until the thing is there; `None` if it will not come.
    pub fn wait(&self) -> Option<T> {
        let mut place = lock(&self.0.place);
        while matches!(*place, Place::Empty) {
            place = self.0.bell.wait(place).unwrap_or_else(PoisonError::into_inner);
        }
        take_from(&mut place)
    }

    /// What ends the wait from outside: somebody's patience is over.
    #[must_use]
    pub fn closer(&self) -> Box<dyn FnOnce() + Send> {
        let channel = Arc::clone(&self.0);
        Box::new(move || channel.close())
    }
}
