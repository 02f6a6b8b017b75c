//! HTTP as peers send it: well, badly, slowly, and with bad intentions.

mod served;
