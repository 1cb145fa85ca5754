//! Sessions from start to end, over doubles of the cloud and simulated workers on the real listener: faults, crashes,
//! cancels, crowds. After each the cloud is as before.

mod backup;
mod crashes;
mod faults;
mod reaper;
mod support;
mod turns;
mod workers;
