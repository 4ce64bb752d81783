//! Black-box tests over real processes, and the programs that the benchmarks run.
#![forbid(unsafe_code)]

pub mod load;
