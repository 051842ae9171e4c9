# The BIOS boot stage: what turns a disk into a running Linux on a PC BIOS.
#
# One program of two pieces. The first 440 bytes are the master boot record's code, which the BIOS
# loads at 0x7c00. It reads the second piece (the BIOS boot partition) to 0x7e00, right behind
# itself, so that both are one program in memory as they are one here, and the second piece calls
# the first one's routines. The second piece loads kernel and initramfs by their block addresses,
# which the builder wrote into the table at its start, and enters the kernel's 16-bit entry point.
#
# Sources:
#   [boot] Linux, Documentation/arch/x86/boot.rst ("The Linux/x86 Boot Protocol"). Header fields
#          bear its names; they are at their offset in the real-mode part.
#   [edd]  BIOS Enhanced Disk Drive Services 3.0 (T13 project 1572D): INT 13h 41h (check), 42h
#          (extended read), the disk address packet of 16 bytes, at most 127 sectors at once.
#   [acpi] ACPI specification, "System Address Map Interfaces": INT 15h E820h.
#
# Memory, all of it below 192 KiB (INT 12h is asked whether that is there), so far from the
# extended BIOS data area that ends conventional memory:
#   0x00000-0x004ff  interrupt vectors, BIOS data
#            -0x07bff  our stack, downwards
#   0x07c00-0x07dff  first piece (440 bytes of code; then disk signature and partition table)
#   0x07e00-0x08dff  second piece: table, code, command line
#   0x09000-0x09fff  usable memory below 4 GiB, as pairs (start, end)
#   0x10000-0x17fff  the kernel's real-mode part, at most 32 KiB (the kernel's own linker script
#                    refuses more)
#            -0x1dfff  its heap, and its stack from the top ([boot] "Memory Layout")
#   0x1e000-0x1e7ff  command line
#   0x20000-0x2fdff  buffer that INT 13h reads to: page aligned, never across 64 KiB
#   0x100000-        the kernel's protected-mode part ([boot] "Loading The Rest of The Kernel")
#   as high as possible, whole pages: the initramfs, above what the kernel needs to unpack itself
#
# A BIOS cannot be trusted to read above 1 MiB, nor to leave a data segment's limit of 4 GiB
# ("unreal mode") alone. So every buffer is copied up in protected mode, entered with our own
# descriptor table each time and left again with ordinary real-mode segments.
#
# Whatever fails says so on the screen and on the first serial port, and halts.

    .pushsection .rodata.imgtool_bios, "a", @progbits
    .globl imgtool_bios_stage
    .hidden imgtool_bios_stage
    .balign 16
    .code16
    # label - BASE is the label's address in memory.
    .set BASE, imgtool_bios_stage - 0x7c00

    .set KERNEL_LBA, 0x7e00 + {kernel_lba}
    .set KERNEL_LEN, 0x7e00 + {kernel_len}
    .set INITRD_LBA, 0x7e00 + {initrd_lba}
    .set INITRD_LEN, 0x7e00 + {initrd_len}
    .set CMDLINE_LEN, 0x7e00 + {cmdline_len}
    .set CMDLINE, 0x7e00 + {cmdline}
    .set RANGES, 0x9000
    .set RANGES_LIMIT, 0xa000
    .set SETUP_SEG, 0x1000
    .set HEAP_END, 0xe000
    .set BUFFER_SEG, 0x2000
    .set BUFFER_END_KIB, 192
    .set MAX_SECTORS, 127
    .set HIGH, 0x100000
    .set COM1, 0x3f8
    .set TRIES, 5

# ---- first piece: the master boot record -------------------------------------------------------

imgtool_bios_stage:
    cli
    xorw %ax, %ax
    movw %ax, %ss
    movw $0x7c00, %sp
    movw %ax, %ds
    movw %ax, %es
    ljmpw $0, $(.Lentry - BASE)         # some BIOSes come in at 07c0:0000
.Lentry:
    sti
    cld
    movb %dl, .Ldrive - BASE

    # The serial port: 115200 baud, 8N1, DTR and RTS.
    movw $(.Lserial - BASE), %si
    movw $5, %cx
.Lserial_next:
    lodsw
    movzbw %al, %dx
    addw $COM1, %dx
    movb %ah, %al
    outb %al, %dx
    loop .Lserial_next

    movb $0x41, %ah                     # [edd] check extensions present
    movb .Ldrive - BASE, %dl
    movw $0x55aa, %bx
    int $0x13
    movw $(.Lno_edd - BASE), %si
    jc .Lfail
    cmpw $0xaa55, %bx
    jne .Lfail
    testb $1, %cl                       # extended disk access: functions 42h to 44h
    jz .Lfail

    movw $({stage2_len} / 512), %ax
    call .Lread
    movw $(.Lno_stage2 - BASE), %si
    cmpl ${magic}, 0x7e00
    jne .Lfail
    jmp .Lstage2

# Reads AX sectors as the disk address packet says. All registers are kept. Does not return on
# failure.
.Lread:
    pushal
    movb $TRIES, .Ltries - BASE
.Lread_try:
    movw %sp, %bp
    movw 28(%bp), %ax                   # AX as pushed; a failed read changes the packet's count
    movw %ax, .Lcount - BASE
    movb $0x42, %ah                     # [edd] extended read
    movb .Ldrive - BASE, %dl
    movw $(.Lpacket - BASE), %si
    int $0x13
    jnc .Lread_done
    decb .Ltries - BASE
    jz .Lread_failed
    xorw %ax, %ax                       # reset the disk system
    movb .Ldrive - BASE, %dl
    int $0x13
    jmp .Lread_try
.Lread_done:
    popal
    ret
.Lread_failed:
    movzbl %ah, %edx
    movw $(.Lread_error_code - BASE), %di
    movw $2, %cx
    call .Lhex
    movl .Llba - BASE, %edx
    movw $(.Lread_error_lba - BASE), %di
    movw $8, %cx
    call .Lhex
    movw $(.Lread_error - BASE), %si

# Shows the message at SI and stops for good. Interrupts stay on, for Ctrl-Alt-Del.
.Lfail:
    call .Lputs
.Lhalt:
    sti
    hlt
    jmp .Lhalt

# Writes the low CX hexadecimal digits of EDX, the last of them at DI.
.Lhex:
    movb %dl, %al
    andb $0x0f, %al
    cmpb $10, %al
    sbbb $0x69, %al
    das                                 # 0x0-0xf is '0'-'9', 'A'-'F' now
    movb %al, (%di)
    decw %di
    shrl $4, %edx
    loop .Lhex
    ret

# Shows the zero-terminated message at SI, after "imgtool: " and with a line end: first on the
# serial port, then on the screen. A BIOS that copies its screen to the serial port so gives two
# whole lines and not one garbled one.
.Lputs:
    movw $(.Lserial_char - BASE), %bp
    call .Lputs_line
    movw $(.Lscreen_char - BASE), %bp
.Lputs_line:
    pushw %si
    movw $(.Lprefix - BASE), %si
    call .Lputs_part
    popw %si
    pushw %si
    call .Lputs_part
    movw $(.Lnewline - BASE), %si
    call .Lputs_part
    popw %si
    ret
.Lputs_part:
    lodsb
    testb %al, %al
    jz .Lputs_end
    pushw %si
    pushw %bp                           # lost by old BIOSes when the screen scrolls
    call *%bp
    popw %bp
    popw %si
    jmp .Lputs_part
.Lscreen_char:
    movb $0x0e, %ah
    movw $0x0007, %bx
    int $0x10
.Lputs_end:
    ret
.Lserial_char:
    movb %al, %ah
    movw $(COM1 + 5), %dx
    xorw %cx, %cx                       # 65536 looks, then it is not our fault
.Lserial_wait:
    inb %dx, %al
    testb $0x20, %al                    # transmitter holding register empty
    loopz .Lserial_wait
    movb %ah, %al
    movw $COM1, %dx
    outb %al, %dx
    ret

.Lserial:
    # Register, value: divisor latch on, divisor 1, latch off and 8N1, DTR and RTS.
    .byte 3, 0x80, 0, 1, 1, 0, 3, 3, 4, 3
.Lprefix:
    .asciz "imgtool: "
.Lnewline:
    .asciz "\r\n"
.Lno_edd:
    .asciz "BIOS cannot read this disk by LBA"
.Lno_stage2:
    .asciz "second stage is damaged"
.Lread_error:
    .ascii "disk read error 0"
.Lread_error_code:
    .ascii "0 at LBA 0000000"
.Lread_error_lba:
    .asciz "0"
.Ldrive:
    .byte 0
.Ltries:
    .byte 0

    # [edd] disk address packet. The builder writes the second stage's address into .Llba.
    .org imgtool_bios_stage + {packet}
.Lpacket:
    .byte 16, 0
.Lcount:
    .word 0
.Lbuffer:
    .word 0x7e00, 0
.Llba:
    .long 0, 0
    # Disk signature, partition table and boot signature are not ours.
    .org imgtool_bios_stage + 512

# ---- second piece: the BIOS boot partition -----------------------------------------------------

    # struct Params in code.rs; the builder fills it in.
    .long {magic}
    .org imgtool_bios_stage + 512 + {params_len}

.Lstage2:
    movw $(.Lloading - BASE), %si
    call .Lputs

    int $0x12                           # KiB of conventional memory
    movw $(.Lno_memory - BASE), %si
    cmpw $BUFFER_END_KIB, %ax
    jb .Lfail

    call .La20
    call .Lmemory_map

    # The kernel's first sectors, straight to where the real-mode part belongs. What comes along
    # too much is overwritten by its heap.
    movl KERNEL_LBA, %eax
    movl %eax, .Llba - BASE
    movw $SETUP_SEG, .Lbuffer + 2 - BASE
    movw $0, .Lbuffer - BASE
    movl KERNEL_LEN, %ecx
    addl $511, %ecx
    shrl $9, %ecx
    movl $64, %eax
    cmpl %eax, %ecx
    jae .Lsetup_read
    movl %ecx, %eax
.Lsetup_read:
    call .Lread

    # ECX: the file's sectors. Is it a bzImage, and of protocol 2.10 (Linux 2.6.31) or later, the
    # first to say how much memory it needs and where?
    movw $SETUP_SEG, %ax
    movw %ax, %fs
    movw $(.Lno_kernel - BASE), %si
    cmpw $0xaa55, %fs:0x1fe             # boot_flag
    jne .Lfail
    cmpl $0x53726448, %fs:0x202         # header: "HdrS"
    jne .Lfail
    cmpw $0x020a, %fs:0x206             # version
    jb .Lfail
    testb $0x01, %fs:0x211              # loadflags: LOADED_HIGH
    jz .Lfail
    movzbl %fs:0x1f1, %eax              # setup_sects, without the first
    testb %al, %al
    jnz .Lsetup_size
    movb $4, %al
.Lsetup_size:
    incw %ax
    cmpw $64, %ax
    ja .Lfail
    subl %eax, %ecx
    jbe .Lfail
    addl KERNEL_LBA, %eax
    movl %eax, .Lpm_lba - BASE
    movl %ecx, .Lpm_sectors - BASE

    movw $(.Lcmdline_long - BASE), %si
    movl CMDLINE_LEN, %eax
    cmpl %fs:0x238, %eax                # cmdline_size
    ja .Lfail

    # Memory for the kernel: where it is loaded,
    movw $(.Lno_memory - BASE), %si
    shll $9, %ecx
    movl $HIGH, %eax
    leal (%eax,%ecx), %ebx
    call .Lusable
    jc .Lfail
    movl %ebx, %ecx
    # and where it moves to and unpacks: [boot] "init_size".
    cmpl $0, %fs:0x25c                  # pref_address, high half
    jne .Lfail
    movl %fs:0x230, %edx                # kernel_alignment
    leal HIGH - 1(%edx), %eax
    negl %edx
    andl %edx, %eax
    cmpl %fs:0x258, %eax                # pref_address
    jae .Lrun_address
    movl %fs:0x258, %eax
.Lrun_address:
    movl %eax, %ebx
    addl %fs:0x260, %ebx                # init_size
    jc .Lfail
    call .Lusable
    jc .Lfail
    cmpl %ecx, %ebx
    jae .Lkernel_end
    movl %ecx, %ebx
.Lkernel_end:

    # The initramfs: the highest page above EBX from which it fits.
    movl INITRD_LEN, %ecx
    addl $511, %ecx
    andl $-512, %ecx                    # whole sectors are copied
    movl %fs:0x22c, %edx                # initrd_addr_max, inclusive
    incl %edx
    jnz .Linitrd_limit
    decl %edx
.Linitrd_limit:
    xorl %ebp, %ebp
    movw $RANGES, %di
.Linitrd_range:
    cmpw .Lranges_end - BASE, %di
    je .Linitrd_chosen
    movl 4(%di), %eax
    cmpl %edx, %eax
    jbe .Linitrd_end
    movl %edx, %eax
.Linitrd_end:
    subl %ecx, %eax
    jb .Linitrd_next
    andl $-4096, %eax
    cmpl (%di), %eax
    jb .Linitrd_next
    cmpl %ebx, %eax
    jb .Linitrd_next
    cmpl %ebp, %eax
    jbe .Linitrd_next
    movl %eax, %ebp
.Linitrd_next:
    addw $8, %di
    jmp .Linitrd_range
.Linitrd_chosen:
    testl %ebp, %ebp
    jz .Lfail
    movl %ebp, %fs:0x218                # ramdisk_image

    movl .Lpm_lba - BASE, %eax
    movl .Lpm_sectors - BASE, %ecx
    movl $HIGH, %edi
    call .Lload
    movl INITRD_LEN, %ecx
    movl %ecx, %fs:0x21c                # ramdisk_size
    addl $511, %ecx
    shrl $9, %ecx
    movl INITRD_LBA, %eax
    movl %fs:0x218, %edi
    call .Lload

    # [boot] "Sample Boot Configuration" and "Running the Kernel".
    movw $0xffff, %fs:0x1fa             # vid_mode: normal
    movb $0xff, %fs:0x210               # type_of_loader: none that is registered
    orb $0x80, %fs:0x211                # loadflags: CAN_USE_HEAP
    movw $(HEAP_END - 0x200), %fs:0x224 # heap_end_ptr
    movl $(SETUP_SEG * 16 + HEAP_END), %fs:0x228 # cmd_line_ptr
    movw $SETUP_SEG, %ax
    movw %ax, %es
    movw $CMDLINE, %si
    movw $HEAP_END, %di
    movw $({stage2_len} - {cmdline}), %cx
    rep movsb
    cli
    movw %ax, %ds
    movw %ax, %gs
    movw %ax, %ss
    movw $HEAP_END, %sp
    ljmpw $(SETUP_SEG + 0x20), $0

# Loads ECX sectors (not 0) from LBA EAX to EDI, above 1 MiB. Clobbers EAX, ECX, ESI, EDI.
.Lload:
    movl %eax, .Llba - BASE
    movw $BUFFER_SEG, .Lbuffer + 2 - BASE
.Lload_next:
    movl $MAX_SECTORS, %eax
    cmpl %eax, %ecx
    jae .Lload_read
    movl %ecx, %eax
.Lload_read:
    call .Lread
    addl %eax, .Llba - BASE
    subl %eax, %ecx
    pushl %ecx
    movl %eax, %ecx
    shll $7, %ecx                       # 128 double words in a sector
    call .Lcopy
    popl %ecx
    testl %ecx, %ecx
    jnz .Lload_next
    ret

# Copies ECX double words from the buffer to EDI, which moves behind them. Clobbers EAX, ECX, ESI;
# leaves FS at the real-mode part, whatever the BIOS made of it. All segments are loaded both ways:
# a hypervisor that cannot run real mode natively emulates for as long as one is left over.
.Lcopy:
    cli
    lgdtl .Lgdt_register - BASE
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $(.Lcode32 - .Lgdt), $(.Lcopy32 - BASE)
    .code32
.Lcopy32:
    movl $(.Ldata32 - .Lgdt), %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movl $(BUFFER_SEG * 16), %esi
    rep movsl
    movl $(.Ldata16 - .Lgdt), %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    ljmpl $(.Lcode16 - .Lgdt), $(.Lcopy16 - BASE)
    .code16
.Lcopy16:
    movl %cr0, %eax
    andb $0xfe, %al
    movl %eax, %cr0
    ljmpw $0, $(.Lcopy_done - BASE)
.Lcopy_done:
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %gs
    movw %ax, %ss
    movw $SETUP_SEG, %ax
    movw %ax, %fs
    sti
    ret

# Turns address line 20 on, without which odd megabytes are not there.
.La20:
    call .La20_test
    jne .La20_on
    movw $0x2401, %ax                   # INT 15h: enable the A20 gate
    int $0x15
    call .La20_test
    jne .La20_on
    inb $0x92, %al                      # system control port A
    orb $0x02, %al
    andb $0xfe, %al                     # bit 0 is reset
    outb %al, $0x92
    movw $0xffff, %cx
.La20_wait:
    call .La20_test
    jne .La20_on
    loop .La20_wait
    movw $(.Lno_a20 - BASE), %si
    jmp .Lfail

# "Not equal" if a word and the one 1 MiB above it differ, be it after the lower one was changed.
.La20_test:
    movw $0xffff, %ax
    movw %ax, %es
    movw .Lprobe - BASE, %ax
    cmpw %es:.Lprobe + 16 - BASE, %ax
    jne .La20_tested
    notw %ax
    movw %ax, .Lprobe - BASE
    cmpw %es:.Lprobe + 16 - BASE, %ax
.La20_tested:
    pushw $0                            # changes no flags
    popw %es
.La20_on:
    ret

# Collects the ranges of usable memory that start below 4 GiB.
.Lmemory_map:
    xorl %ebx, %ebx
    movw $RANGES, .Lranges_end - BASE
.Lmemory_next:
    movl $0xe820, %eax
    movl $0x534d4150, %edx              # "SMAP"
    movl $20, %ecx
    movw $(.Lentry820 - BASE), %di
    int $0x15
    jc .Lmemory_end
    cmpl $0x534d4150, %eax
    jne .Lmemory_end
    cmpl $1, .Lentry820 + 16 - BASE     # type: memory available to the system
    jne .Lmemory_skip
    cmpl $0, .Lentry820 + 4 - BASE      # base, high half
    jne .Lmemory_skip
    movl .Lentry820 - BASE, %eax
    movl %eax, %edx
    movl .Lentry820 + 12 - BASE, %ecx
    addl .Lentry820 + 8 - BASE, %edx
    adcl $0, %ecx
    jz .Lmemory_store
    movl $-4096, %edx                   # ends at or above 4 GiB
.Lmemory_store:
    movw .Lranges_end - BASE, %di
    movl %eax, (%di)
    movl %edx, 4(%di)
    addw $8, %di
    movw %di, .Lranges_end - BASE
    cmpw $RANGES_LIMIT, %di
    jae .Lmemory_end
.Lmemory_skip:
    testl %ebx, %ebx
    jnz .Lmemory_next
.Lmemory_end:
    ret

# Carry set unless one usable range holds all from EAX to before EBX. Clobbers DI.
.Lusable:
    movw $RANGES, %di
.Lusable_next:
    cmpw .Lranges_end - BASE, %di
    je .Lusable_none
    addw $8, %di
    cmpl -8(%di), %eax
    jb .Lusable_next
    cmpl %ebx, -4(%di)
    jb .Lusable_next
    ret                                 # carry is clear
.Lusable_none:
    stc
    ret

.Lloading:
    .asciz "loading"
.Lno_memory:
    .asciz "too little memory for kernel and initramfs"
.Lno_kernel:
    .asciz "kernel is no bzImage of boot protocol 2.10 or later"
.Lcmdline_long:
    .asciz "command line is longer than this kernel takes"
.Lno_a20:
    .asciz "cannot enable address line A20"

    .balign 8
.Lgdt:
    .quad 0
.Lcode32:
    .quad 0x00cf9a000000ffff            # base 0, 4 GiB
.Ldata32:
    .quad 0x00cf92000000ffff
.Lcode16:
    .quad 0x00009a000000ffff            # base 0, 64 KiB, as in real mode
.Ldata16:
    .quad 0x000092000000ffff
.Lgdt_register:
    .word . - .Lgdt - 1
    .long .Lgdt - BASE
.Lprobe:
    .word 0
.Lranges_end:
    .word 0
.Lpm_lba:
    .long 0
.Lpm_sectors:
    .long 0
.Lentry820:
    .skip 20

    .org imgtool_bios_stage + 512 + {cmdline}
    .org imgtool_bios_stage + 512 + {stage2_len}
    .popsection
