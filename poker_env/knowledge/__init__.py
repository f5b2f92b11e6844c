"""What can be worked out when villain's policy is known: ranges, exact values, credit without luck, advice."""
