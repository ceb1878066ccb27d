"""The contract with users: kinds, conditions, names, validation rules. Pure; imports nothing of ours."""
