"""Tools of a conversation: what is offered, chosen and called in it, against what its route allows."""
