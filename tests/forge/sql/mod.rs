//! SQL over HTTP and on the data plane: the route, answers, writes, transactions, streams.
mod answers;
mod language;
mod long_work;
mod oracle;
mod routes;
mod streams;
mod transactions;
mod writes;
