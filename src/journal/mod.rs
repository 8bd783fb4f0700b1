//! Every result and spectrum on disk before it is offered to the network.
