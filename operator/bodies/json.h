#pragma once
#include "abi.h"

// Bytes of the longest name given; names of models have at most 127.
#define LONGEST_NAME 256
// Of all its objects together; more is refused, so that no body takes long.
#define MOST_KEYS 100000

// Reads a whole JSON text strictly and finds the text at the key `model` of its top level.
// Returns false if it is no JSON object, a key is there twice in one object, it is nested more than 100 levels deep, has
// more than MOST_KEYS keys, or a number that no double holds, or of more than 400 bytes
// with an exponent or 309 digits before the point.
// name: LONGEST_NAME bytes; what no header may hold is "?" there. length: 0 without such a key, or if it is no text.
bool find_model(const char* text, size_t size, char* name, size_t* length);
// The same, and where the text stands: bytes before its first quote, and before what follows its last one.
bool locate_model(const char* text, size_t size, char* name, size_t* length, size_t place[2]);
