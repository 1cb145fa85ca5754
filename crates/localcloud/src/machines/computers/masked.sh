#!/bin/sh
echo "${0##*/}: not on this image; /usr/lib/haulier/power-off ends the machine" >&2
exit 1
