/*
 * What every unit test needs: cmocka, and the headers that it wants before it.
 *
 * A test is t/unit/NAME_test.c, a program of its own; each static function that takes void **state
 * is one test, and its name is a sentence.
 */

#ifndef WEIR_UNIT_H
#define WEIR_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
