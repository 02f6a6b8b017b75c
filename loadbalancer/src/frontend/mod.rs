//! Frontends: how clients reach the pool.
//!
//! | frontend | unit that is balanced | module   |
//! |----------|-----------------------|----------|
//! | lab      | a request             | [`lab`]  |
//! | tcp      | a connection          | [`tcp`]  |
//! | http     | a request             | [`http`] |
//!
//! All share the pool, the policies and the events; a frontend knows how its clients speak, and nothing else.

pub mod lab;
pub mod tcp;
pub mod side;
pub mod http;
