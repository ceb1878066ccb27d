#pragma once
#include "abi.h"

// Bytes of the longest name given; names of models have at most 127.
#define LONGEST_NAME 256

// Reads a whole JSON text strictly and finds the text at the key `model` of its top level.
// Returns false if it is no JSON object, a key is there twice in one object, or it is nested more than 100 levels deep.
// name: LONGEST_NAME bytes; what no header may hold is "?" there. length: 0 without such a key, or if it is no text.
bool find_model(const char* text, size_t size, char* name, size_t* length);
