# What the boot stage takes for a Linux kernel: it follows the boot protocol, tells on the first
# serial port what it was given, and ends QEMU through its isa-debug-exit device.

    .pushsection .rodata.imgtool_bios_test, "a", @progbits
    .globl imgtool_bios_test_kernel
    .hidden imgtool_bios_test_kernel
    .balign 16
    .set KERNEL, imgtool_bios_test_kernel

imgtool_bios_test_kernel:
    .org KERNEL + 0x1f1
    .byte 2                             # setup_sects
    .org KERNEL + 0x1fe
    .word 0xaa55                        # boot_flag
    .byte 0xeb, .Ltest_setup - KERNEL - 0x202 # jump
    .ascii "HdrS"                       # header
    .word 0x020f                        # version
    .org KERNEL + 0x211
    .byte 0x01                          # loadflags: LOADED_HIGH
    .org KERNEL + 0x214
    .long 0x100000                      # code32_start
    .org KERNEL + 0x22c
    .long 0x7fffffff                    # initrd_addr_max
    .long 0x200000                      # kernel_alignment
    .byte 1                             # relocatable_kernel
    .org KERNEL + 0x238
    .long 2047                          # cmdline_size
    .org KERNEL + 0x258
    .quad 0x1000000                     # pref_address
    .long 0x1000000                     # init_size

    .code16
.Ltest_setup:
    # "Running the Kernel": all segments are the real-mode part's, interrupts are off.
    movw %cs, %ax
    subw $0x20, %ax
    movw %ds, %bx
    cmpw %bx, %ax
    jne .Ltest_halt16
    movw %es, %bx
    cmpw %bx, %ax
    jne .Ltest_halt16
    movw %fs, %bx
    cmpw %bx, %ax
    jne .Ltest_halt16
    movw %gs, %bx
    cmpw %bx, %ax
    jne .Ltest_halt16
    movw %ss, %bx
    cmpw %bx, %ax
    jne .Ltest_halt16
    pushfw
    popw %bx
    testw $0x200, %bx
    jnz .Ltest_halt16
    movzwl %ax, %esi
    shll $4, %esi
    addl %esi, .Ltest_gdt_register + 2 - KERNEL
    lgdtl .Ltest_gdt_register - KERNEL
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x10, $0x100000
.Ltest_halt16:
    hlt
    jmp .Ltest_halt16

    .balign 8
.Ltest_gdt:
    .quad 0, 0
    .quad 0x00cf9a000000ffff
    .quad 0x00cf92000000ffff
.Ltest_gdt_register:
    .word . - .Ltest_gdt - 1
    .long .Ltest_gdt - KERNEL

    # The protected-mode part, in the fourth sector, to be loaded to 0x100000.
    .org KERNEL + 0x600
    .code32
    jmp .Ltest_start
    .org KERNEL + 0x604
    .long 0                             # its length: the test fills it in
.Ltest_start:
    movl $0x18, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $0x7000, %esp
    movl %esi, %ebp

    movl $(.Ltest_cmdline - KERNEL + 0x100000 - 0x600), %esi
    call .Ltest_puts
    movl 0x228(%ebp), %esi              # cmd_line_ptr
    call .Ltest_puts

    movl $(.Ltest_kernel - KERNEL + 0x100000 - 0x600), %esi
    call .Ltest_puts
    movl $0x100000, %esi
    movl 0x100004, %ecx
    call .Ltest_hash

    movl $(.Ltest_initrd - KERNEL + 0x100000 - 0x600), %esi
    call .Ltest_puts
    movl 0x218(%ebp), %esi              # ramdisk_image
    movl 0x21c(%ebp), %ecx              # ramdisk_size
    call .Ltest_hash

    movl $(.Ltest_at - KERNEL + 0x100000 - 0x600), %esi
    call .Ltest_puts
    movl 0x218(%ebp), %eax
    call .Ltest_hex

    movl $(.Ltest_header - KERNEL + 0x100000 - 0x600), %esi
    call .Ltest_puts
    movl 0x210(%ebp), %eax              # type_of_loader, loadflags
    shll $16, %eax
    movw 0x224(%ebp), %ax               # heap_end_ptr
    call .Ltest_hex

    movl $(.Ltest_end - KERNEL + 0x100000 - 0x600), %esi
    call .Ltest_puts
    movb $0x10, %al
    outb %al, $0xf4
.Ltest_halt:
    hlt
    jmp .Ltest_halt

# FNV-1a of ECX bytes at ESI, shown in hexadecimal.
.Ltest_hash:
    movl $0x811c9dc5, %ebx
.Ltest_hash_next:
    movzbl (%esi), %eax
    xorl %eax, %ebx
    imull $16777619, %ebx, %ebx
    incl %esi
    decl %ecx
    jnz .Ltest_hash_next
    movl %ebx, %eax
# Shows EAX in hexadecimal.
.Ltest_hex:
    movl %eax, %ebx
    movl $8, %ecx
.Ltest_hex_next:
    roll $4, %ebx
    movb %bl, %al
    andb $0x0f, %al
    cmpb $10, %al
    sbbb $0x69, %al
    das
    movl $0x3f8, %edx
    outb %al, %dx
    loop .Ltest_hex_next
    ret

# Shows the zero-terminated text at ESI.
.Ltest_puts:
    movl $0x3f8, %edx
.Ltest_puts_next:
    lodsb
    testb %al, %al
    jz .Ltest_puts_end
    outb %al, %dx
    jmp .Ltest_puts_next
.Ltest_puts_end:
    ret

.Ltest_cmdline:
    .asciz "cmdline="
.Ltest_kernel:
    .asciz "\nkernel="
.Ltest_initrd:
    .asciz "\ninitrd="
.Ltest_at:
    .asciz "\ninitrd_at="
.Ltest_header:
    .asciz "\nheader="
.Ltest_end:
    .asciz "\nend\n"

    .org KERNEL + 0x800
    .popsection
