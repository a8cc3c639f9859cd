// SPDX-License-Identifier: GPL-2.0-only

//! The witness on made-up memory and made-up records, and at work with a stand-in for QEMU.

mod image;
mod judging;
mod ring;
mod working;
