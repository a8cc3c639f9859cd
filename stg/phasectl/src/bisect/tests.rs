// SPDX-License-Identifier: GPL-2.0-only

//! Bugs planted at patches of the real stack, and the words in which they are found.

mod planted;
mod programs;
mod replay;
mod series;
mod words;
mod workbench;
mod world;
