//! tcp
mod pump;
mod way;
pub mod proxy_protocol;
#[cfg(test)]
mod tests;
