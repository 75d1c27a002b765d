# SPDX-License-Identifier: Apache-2.0
"""A checkpoint judged by recordings: what it would have commanded at the recorded moments, beside what was done."""
