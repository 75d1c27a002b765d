# SPDX-License-Identifier: Apache-2.0
"""A scripted operator who drives through a headset's protocol, for who has no headset, and for tests of the whole way."""
