//! HTTP as peers send it: well, badly, slowly, and with bad intentions.

mod heads;
mod bodies;
mod drawn;
mod site;
mod served;
mod turned_away;
mod asking;
